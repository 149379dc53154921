"""Training on sequences of tokens: what counts is positions, whatever batch they are in."""

import numpy as np
import pytest
from training_support import Examples, epochs, examples, losses, recipe, spec, trained

from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State

TOKENS, POSITIONS = 5, 3
LAYERS = ({"type": "dense", "units": TOKENS * POSITIONS}, {"type": "reshape", "shape": [POSITIONS, TOKENS]})
METRICS = ("perplexity", "bits_per_token", "accuracy", "top_k_accuracy")


def _recipe(**more):
    return recipe(LAYERS, loss="next_token", **more)


def _examples(r, count=40, seed=0):
    """Sequences of different lengths: the rest is ignored; one has no token at all."""
    found = examples(count, r, seed)
    lengths = np.random.default_rng(seed).integers(0, POSITIONS + 1, count)
    found.targets[np.arange(POSITIONS) >= lengths[:, None]] = -1
    return found


def _by_hand(r, state, data):
    """Cost of each position that counts, and whether the label is the most probable token."""
    params = r.layout.arrays(state.parameters)
    logits = (data.inputs @ params["dense_1.weight"].T + params["dense_1.bias"]).reshape(-1, POSITIONS, TOKENS)
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    counts = data.targets >= 0
    own = np.take_along_axis(log_probs, np.maximum(data.targets, 0)[..., None], axis=-1)[..., 0]
    return -own[counts], (log_probs.argmax(axis=-1) == data.targets)[counts]


@pytest.mark.parametrize("count", [40, 1100])
def test_a_split_is_evaluated_over_its_positions_not_over_its_batches(count):
    r = _recipe()
    data, state = _examples(r, count), State.start(r, 0)
    costs, right = _by_hand(r, state, data)
    found = Evaluator(r, state.network, spec(r, data, METRICS[:3]).metrics).evaluate(data)
    assert found["loss"] == pytest.approx(costs.mean(), rel=1e-12)
    assert found["perplexity"] == pytest.approx(np.exp(costs.mean()), rel=1e-12)
    assert found["bits_per_token"] == pytest.approx(costs.mean() / np.log(2), rel=1e-12)
    assert found["accuracy"] == right.mean()


def test_a_split_without_a_position_that_counts_has_no_loss():
    r = _recipe()
    data = _examples(r, 4)
    data.targets[...] = -1
    assert np.isnan(Evaluator(r, State.start(r, 0).network).evaluate(data)["loss"])


def test_metrics_of_the_epoch_are_of_the_positions_that_count():
    r = _recipe()
    data = _examples(r)
    state, events = trained(spec(r, data, METRICS, epochs=1, batch_size=40, shuffle=False))
    costs, right = _by_hand(r, State.start(r, 0), data)  # one update: all was predicted before it
    (epoch,) = epochs(events)
    assert losses(events) == [pytest.approx(costs.mean(), rel=1e-12)]
    assert epoch.metrics["train/loss"] == pytest.approx(costs.mean(), rel=1e-12)
    assert epoch.metrics["train/perplexity"] == pytest.approx(np.exp(costs.mean()), rel=1e-12)
    assert epoch.metrics["train/accuracy"] == right.mean()
    assert state.tokens is None


def test_an_epochs_loss_weighs_batches_by_their_positions():
    r = _recipe()
    data = _examples(r)
    _, events = trained(spec(r, data, METRICS, epochs=1, batch_size=7, shuffle=False, max_seconds=60))
    counts = [np.count_nonzero(data.targets[start : start + 7] >= 0) for start in range(0, 40, 7)]
    (epoch,) = epochs(events)
    assert epoch.metrics["train/loss"] == pytest.approx(np.average(losses(events), weights=counts), rel=1e-12)
    assert np.log(epoch.metrics["train/perplexity"]) == pytest.approx(epoch.metrics["train/loss"], rel=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_update_of_accumulated_batches_is_that_of_one_batch(optimizer):
    """Though the batches have different numbers of positions that count."""
    data = _examples(_recipe())
    whole, first = trained(spec(_recipe(optimizer=optimizer), data, METRICS, epochs=2, batch_size=16))
    parts = _recipe(optimizer=optimizer, accumulate=True)
    state, second = trained(spec(parts, data, METRICS, epochs=2, batch_size=4, accumulate=4))
    np.testing.assert_allclose(state.parameters, whole.parameters, rtol=0, atol=1e-12)
    assert losses(second) == pytest.approx(losses(first), rel=1e-10)
    for one, other in zip(epochs(first), epochs(second), strict=True):
        for name in ("train/loss", "train/perplexity", "train/accuracy"):
            assert other.metrics[name] == pytest.approx(one.metrics[name], rel=1e-10)


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_counts_on():
    r = _recipe()
    data = _examples(r)
    make = lambda: spec(r, data, METRICS, epochs=2, batch_size=7)  # noqa: E731
    expected, events = trained(make())
    state = State.start(r, 0)
    for event in Trainer(make(), state).run():
        if getattr(event, "step", 0) == 4:
            break
    tensors = {name: array.copy() for name, array in state.tensors(r).items()}
    assert tensors["epoch.tokens"].shape == (1 + TOKENS,)
    other = State.start(r, 1)
    other.restore(r, tensors, state.counters(), "x.safetensors")
    _, rest = trained(make(), other)
    np.testing.assert_array_equal(other.parameters, expected.parameters)
    shown = [{k: v for k, v in e.metrics.items() if k != "examples_per_second"} for e in epochs(rest)]
    assert shown == [{k: v for k, v in e.metrics.items() if k != "examples_per_second"} for e in epochs(events)]


def test_weights_of_examples_make_the_loss_their_weighted_sum_over_all():
    """As many examples as there are, not the sum of the weights, is what is divided by; metrics know no weights."""
    r = recipe(weighted=True)
    plain = examples(1000, r)
    weights = np.random.default_rng(1).integers(0, 4, 1000).astype(float)
    data = Examples(plain.inputs, plain.targets, weights)
    network, metrics = State.start(r, 0).network, spec(r, data, ["accuracy"]).metrics
    found, unweighted = (Evaluator(r, network, metrics).evaluate(split) for split in (data, plain))
    repeated = np.repeat(np.arange(1000), weights.astype(int))
    twice = Evaluator(r, network).evaluate(Examples(plain.inputs[repeated], plain.targets[repeated]))
    assert found["loss"] == pytest.approx(twice["loss"] * len(repeated) / 1000, rel=1e-12)
    assert found["accuracy"] == unweighted["accuracy"]
    assert unweighted == Evaluator(recipe(), network, metrics).evaluate(plain)


def test_training_with_weights_is_training_on_repeated_examples():
    weights = np.array([2.0, 0.0, 1.0, 3.0, 2.0])
    plain = examples(5, recipe())
    data, repeated = Examples(plain.inputs, plain.targets, weights), np.repeat(np.arange(5), weights.astype(int))
    rate = {"type": "sgd", "learning_rate": 0.1}
    state, events = trained(spec(recipe(weighted=True, optimizer=rate), data, epochs=4, batch_size=5))
    more = Examples(plain.inputs[repeated], plain.targets[repeated])
    faster = {"type": "sgd", "learning_rate": 0.1 * len(repeated) / 5}
    expected, others = trained(spec(recipe(optimizer=faster), more, epochs=4, batch_size=len(repeated)))
    np.testing.assert_allclose(state.parameters, expected.parameters, rtol=0, atol=1e-13)
    assert losses(events) == pytest.approx([x * len(repeated) / 5 for x in losses(others)], rel=1e-12)
