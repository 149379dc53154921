"""The loop: which examples a step sees, what an epoch says, and when training stops."""

import dataclasses
import itertools
import time
import tracemalloc

import numpy as np
import pytest
from training_support import DROPOUT, Examples, epochs, examples, losses, made, recipe, spec, trained

from backprop_cli.errors import DivergenceError
from backprop_cli.nn.metric import METRICS, Predictions
from backprop_cli.nn.task import CLASSES
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.events import Epoch, Step, Stopped
from backprop_cli.training.loop import Trainer
from backprop_cli.training.monitor import Monitor
from backprop_cli.training.state import State


def seen(spec) -> list[list[int]]:
    """Which examples each step of a training was made from."""
    trainer = Trainer(spec, State.start(spec.recipe, spec.seed))
    return [trainer.batch.tolist() for event in trainer.run() if isinstance(event, Step)]


def test_every_example_once_an_epoch_and_a_smaller_last_batch():
    r = recipe()
    steps = seen(spec(r, examples(20, r), batch_size=6, epochs=2))
    assert [len(step) for step in steps] == [6, 6, 6, 2] * 2
    for epoch in (steps[:4], steps[4:]):
        assert sorted(itertools.chain(*epoch)) == list(range(20))
    assert steps[:4] != steps[4:]  # another order every epoch


def test_order_follows_from_the_seed_and_the_epoch():
    r = recipe()
    first, again, other = (spec(r, examples(20, r), seed=seed) for seed in (1, 1, 2))
    assert first.order(3).tolist() == again.order(3).tolist()
    assert first.order(3).tolist() != other.order(3).tolist()


def test_without_shuffling_the_order_is_the_files():
    r = recipe()
    steps = seen(spec(r, examples(10, r), batch_size=4, epochs=2, shuffle=False))
    assert steps == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 2


def test_batch_larger_than_the_data_is_all_of_it():
    r = recipe()
    assert [len(step) for step in seen(spec(r, examples(10, r), batch_size=64, epochs=2))] == [10, 10]


def test_accumulated_steps_see_several_batches_and_fewer_at_the_end():
    r = recipe(accumulate=True)
    assert [len(step) for step in seen(spec(r, examples(20, r), batch_size=3, accumulate=3, epochs=1))] == [9, 9, 2]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", {"type": "sgd", "momentum": 0.9}])
@pytest.mark.parametrize(("count", "batch", "groups"), [(24, 4, 3), (23, 4, 3), (25, 4, 3), (10, 3, 8)])
def test_accumulated_batches_are_one_large_batch(optimizer, count, batch, groups):
    """Also where the last update has fewer batches, and the last batch fewer examples."""
    small = recipe(optimizer=optimizer, l2=0.01, clip_norm=0.5, accumulate=True)
    large = recipe(optimizer=optimizer, l2=0.01, clip_norm=0.5)
    data = examples(count)
    found, some = trained(spec(small, data, batch_size=batch, accumulate=groups, epochs=3))
    expected, same = trained(spec(large, data, batch_size=batch * groups, epochs=3))
    np.testing.assert_allclose(found.parameters, expected.parameters, rtol=0, atol=1e-12)
    np.testing.assert_allclose(losses(some), losses(same), rtol=0, atol=1e-12)
    assert found.step == expected.step


def test_same_seed_same_bits_another_seed_others():
    r = recipe(DROPOUT, optimizer="adam", dtype="float32")
    data = examples(20, r)
    first, again, other = (trained(spec(r, data, epochs=2, batch_size=6, seed=seed))[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.parameters, again.parameters)
    assert (first.parameters != other.parameters).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_kept_through_training(dtype):
    r = recipe(DROPOUT, optimizer="adam", dtype=dtype)
    state, _ = trained(spec(r, examples(20, r), metrics=["accuracy"], epochs=1, batch_size=6))
    assert {array.dtype for array in state.tensors(r).values()} == {np.dtype(dtype)}
    assert state.predictions.dtype == np.dtype(dtype)


def test_an_epoch_says_what_its_steps_said():
    r = recipe(l2=0.1)
    data = examples(20, r)
    _, events = trained(spec(r, data, epochs=1, batch_size=6, schedule={"type": "cosine"}))
    steps = [event for event in events if isinstance(event, Step)]
    (epoch,) = epochs(events)
    sizes = [step.examples for step in steps]
    assert sizes == [6, 6, 6, 2]
    assert epoch.metrics["train/loss"] == pytest.approx(np.average([step.loss for step in steps], weights=sizes))
    assert epoch.metrics["train/regularization"] == pytest.approx(np.mean([step.regularization for step in steps]))
    assert epoch.metrics["gradient_norm"] == pytest.approx(np.mean([step.gradient_norm for step in steps]))
    assert epoch.metrics["learning_rate"] == steps[-1].learning_rate
    assert epoch.metrics["examples_per_second"] > 0
    assert (epoch.step, epoch.epoch, epoch.partial) == (4, 1, False)


def test_names_and_order_of_an_epochs_metrics():
    r = recipe()
    data = examples(20, r)
    _, events = trained(spec(r, data, metrics=["accuracy"], validation=examples(7, r, seed=1), epochs=1))
    assert list(epochs(events)[0].metrics) == [
        "train/loss",
        "train/accuracy",
        "validation/loss",
        "validation/accuracy",
        "learning_rate",
        "gradient_norm",
        "examples_per_second",
    ]


def test_metrics_are_of_the_whole_split_not_means_of_batches():
    """f1 is not additive: its mean over batches is another number."""
    r = recipe()
    data, held_out = examples(600, r), examples(1100, r, seed=1)  # more than two evaluation batches of 512
    state, events = trained(spec(r, data, metrics=["f1"], validation=held_out, epochs=1, batch_size=600))
    (epoch,) = epochs(events)
    params = r.layout.arrays(state.parameters)
    hidden = np.tanh(held_out.inputs @ params["dense_1.weight"].T + params["dense_1.bias"])
    logits = hidden @ params["dense_2.weight"].T + params["dense_2.bias"]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    f1 = made(METRICS, "f1").compute(Predictions(CLASSES, p, held_out.targets))
    assert epoch.metrics["validation/f1"] == pytest.approx(f1, rel=1e-12)
    loss = -np.log(p[np.arange(1100), held_out.targets]).mean()
    assert epoch.metrics["validation/loss"] == pytest.approx(loss, rel=1e-12)
    # Of the only step the predictions are those before it.
    before = Evaluator(r, State.start(r, 0).network, [made(METRICS, "f1")]).evaluate(data)
    assert epoch.metrics["train/f1"] == pytest.approx(before["f1"], rel=1e-12)


def test_regression_metrics_are_in_the_targets_own_unit():
    r = recipe(loss="mean_squared_error")
    data = examples(20, r)
    more = {"metrics": ["mean_squared_error"], "validation": data, "epochs": 1}
    plain = epochs(trained(spec(r, data, **more))[1])[0].metrics
    scaled = epochs(trained(spec(r, data, **more, untransform=lambda y: 10.0 * y + 3.0))[1])[0].metrics
    for split in ("train", "validation"):
        assert scaled[f"{split}/loss"] == plain[f"{split}/loss"]
        assert scaled[f"{split}/mean_squared_error"] == pytest.approx(100 * plain[f"{split}/mean_squared_error"])


def test_no_epochs_are_the_initial_weights():
    r = recipe()
    state, events = trained(spec(r, examples(20, r), epochs=0))
    assert events == []
    np.testing.assert_array_equal(state.parameters, State.start(r, 0).parameters)


def test_max_steps_ends_in_the_middle_of_an_epoch_and_says_so():
    r = recipe()
    state, events = trained(spec(r, examples(20, r), epochs=5, batch_size=6, max_steps=6))
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4, 5, 6]
    assert [(e.step, e.epoch, e.partial) for e in epochs(events)] == [(4, 1, False), (6, 2, True)]
    assert events[-1] == Stopped(6, 2, "max_steps: 6 steps are done")
    assert (state.step, state.epoch, state.position) == (6, 2, 12)


def test_max_steps_at_the_planned_end_is_no_early_stop():
    r = recipe()
    _, events = trained(spec(r, examples(20, r), epochs=1, batch_size=10, max_steps=2))
    assert isinstance(events[-1], Epoch)


def test_max_seconds_counts_all_parts_of_a_run():
    r = recipe()
    state = State.start(r, 0)
    state.seconds = 10.0  # spent before the run was resumed
    _, events = trained(spec(r, examples(20, r), epochs=5, max_seconds=9.5), state)
    assert events == [Stopped(0, 1, "max_seconds: 9.5 s are over")]
    state, events = trained(spec(r, examples(20, r), epochs=10**9, batch_size=20, max_seconds=0.05))
    assert isinstance(events[-1], Stopped)
    assert events[-1].reason == "max_seconds: 0.05 s are over"
    assert 0 < state.seconds < 5


def test_max_seconds_is_of_the_training_and_leaves_a_step(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    r = recipe()
    trainer = Trainer(spec(r, examples(20, r), batch_size=5, max_seconds=1.0), State.start(r, 0))
    now[0] += 50.0  # a gradient check, before the first step
    events = trainer.run()
    assert isinstance(next(events), Step)
    now[0] += 50.0  # another, after it
    assert [event.step for event in events if isinstance(event, Step)] == [2]


def constant_loss(**more):
    """A training in which nothing moves: the metric never improves after the first epoch."""
    r = recipe(optimizer={"type": "sgd", "learning_rate": 1e-300})
    return spec(r, examples(20, r), validation=examples(8, r, seed=1), epochs=20, batch_size=20, **more)


@pytest.mark.parametrize(("patience", "stops"), [(0, 2), (1, 2), (2, 3), (5, 6)])
def test_early_stopping_waits_for_its_patience(patience, stops):
    stopping = Monitor("validation/loss", "min", patience=patience)
    state, events = trained(constant_loss(early_stopping=stopping))
    assert len(epochs(events)) == stops
    value = epochs(events)[0].metrics["validation/loss"]
    waited = stops - 1
    assert events[-1] == Stopped(
        stops,
        stops,
        f"early stopping: validation/loss has not improved on {value:.6g} for {waited} epoch{'s' * (waited != 1)}",
    )
    assert state.memory["early_stopping"]["epoch"] == 1


def learning(better="min", **more):
    r = recipe(optimizer={"type": "sgd", "learning_rate": 0.05})
    data = examples(20, r)
    return spec(r, data, validation=data, epochs=12, batch_size=20, **more), better


def test_early_stopping_asks_for_more_than_min_delta():
    assert len(epochs(trained(learning(early_stopping=Monitor("validation/loss", "min", 0.0, 2))[0])[1])) == 12
    strict = learning(early_stopping=Monitor("validation/loss", "min", 10.0, 2))[0]
    assert len(epochs(trained(strict)[1])) == 3


def test_early_stopping_the_other_way_round():
    upwards = learning(early_stopping=Monitor("validation/loss", "max", 0.0, 2))[0]
    assert len(epochs(trained(upwards)[1])) == 3


def test_the_best_epoch_is_remembered():
    r = recipe(optimizer={"type": "sgd", "learning_rate": 3.0})  # too fast: the loss goes up and down
    data = examples(20, r)
    best = Monitor("validation/loss", "min")
    state, events = trained(spec(r, data, validation=examples(9, r, 1), epochs=8, batch_size=7, best=best))
    values = [epoch.metrics["validation/loss"] for epoch in epochs(events)]
    lowest = int(np.argmin(values))
    assert 0 < lowest < 7
    memory = state.memory["best"]
    assert (memory["value"], memory["epoch"], memory["step"]) == (values[lowest], lowest + 1, 3 * (lowest + 1))
    improved = [epoch.improved for epoch in epochs(events)]
    assert improved == [value == min(values[: k + 1]) for k, value in enumerate(values)]


# --- divergence ------------------------------------------------------------------------------------------------

WAY_OUT = "; lower optimizer.learning_rate or set training.clip_norm"


def diverges(r, data=None, **more) -> str:
    data = examples(20, r) if data is None else data
    with pytest.raises(DivergenceError) as caught:
        trained(spec(r, data, epochs=3, **more))
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_a_loss_that_is_not_finite():
    r = recipe(loss="mean_squared_error", optimizer={"type": "sgd", "learning_rate": 1e200})
    said = diverges(r, batch_size=10)
    assert said == (
        f"training diverged at step 2 (epoch 1): loss inf, gradient norm nan, learning rate 1e+200{WAY_OUT}"
    )


def test_inputs_that_overflow():
    r = recipe(loss="mean_squared_error")
    data = examples(20, r)
    said = diverges(r, Examples(data.inputs, data.targets * 1e200), batch_size=20)
    assert said == (f"training diverged at step 1 (epoch 1): loss inf, gradient norm inf, learning rate 0.001{WAY_OUT}")


@pytest.mark.parametrize("clipping", [{}, {"clip_norm": 1.0}])
def test_a_gradient_whose_norm_alone_overflows_in_float32(clipping):
    r = recipe(({"type": "dense", "units": 3},), dtype="float32", loss="mean_absolute_error", **clipping)
    data = examples(20, r)
    said = diverges(r, Examples(data.inputs * np.float32(1e25), data.targets), batch_size=20)
    assert (
        "gradient norm inf, learning rate 0.001; in float32 the norm of a gradient above 1.8e19 is infinite: " in said
    )
    assert said.endswith("standardize inputs and targets, or set training.precision to float64")


def test_a_parameter_that_is_not_finite_though_no_loss_saw_it():
    r = recipe(
        ({"type": "dense", "units": 3, "bias": False},),
        dtype="float32",
        optimizer={"type": "sgd", "learning_rate": 1e300},
    )
    said = diverges(r, batch_size=20)
    assert said.startswith("training diverged at step 1 (epoch 1): dense_1.weight[0, 0] is ")
    assert said.endswith(f"inf{WAY_OUT}")


def test_a_validation_loss_that_is_not_finite():
    r = recipe(loss="mean_squared_error")
    data = examples(20, r)
    huge = Examples(data.inputs, data.targets * 1e200)
    said = diverges(r, data, validation=huge, batch_size=20)
    assert said == f"training diverged at step 1 (epoch 1): validation loss inf{WAY_OUT}"


# --- memory ----------------------------------------------------------------------------------------------------


def growth(trainer: Trainer, every: int, warm: int, events: int) -> int:
    """Bytes that Python and NumPy hold more of after some steps."""
    run = trainer.run((every,))
    for _ in range(warm):
        next(run)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(events):
            next(run)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(("every", "warm", "events"), [(1, 20, 100), (20, 1, 5)])
def test_a_steady_step_keeps_nothing(accumulate, every, warm, events, workers):
    r = recipe(DROPOUT, optimizer="adam", dtype="float32", clip_norm=1.0, accumulate=accumulate > 1)
    data = examples(32 * 300, r)
    this = spec(r, data, metrics=["accuracy"], batch_size=32, accumulate=accumulate, epochs=1)
    this = dataclasses.replace(this, workers=workers)
    assert growth(Trainer(this, State.start(r, 0)), every, warm, events) < 2000
