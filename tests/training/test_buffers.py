"""Buffers and frozen parameters: what training moves without a gradient, and what it leaves as it is."""

import dataclasses

import numpy as np
import pytest
from training_support import examples, recipe, spec, trained

from backprop_cli.errors import CheckpointError, DivergenceError
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State, network_vectors
from backprop_cli.training.step_program import BUFFERS, PARAMETERS

D = {"type": "dense", "units": 5}
NORMED = (D, {"type": "batch_norm", "momentum": 0.2}, {"type": "activation", "function": "tanh"}, {**D, "units": 3})
FROZEN = ({**D, "trainable": False}, *NORMED[1:])


def one_batch(**more):
    """A spec of one batch a step, in the order of the file."""
    r = recipe(more.pop("layers", NORMED), **more.pop("recipe", {}))
    return spec(r, examples(8, r), batch_size=8, shuffle=False, **more)


def named(state, r):
    return {name: array.copy() for name, array in state.tensors(r).items() if not name.startswith("optimizer.")}


def hidden(arrays, x):
    return x @ arrays["dense_1.weight"].T + arrays["dense_1.bias"]


def test_buffers_start_as_the_layer_says_and_have_their_names():
    r = recipe(NORMED)
    arrays = named(State.start(r, 0), r)
    assert list(arrays) == [*r.model.params, "batch_norm_1.running_mean", "batch_norm_1.running_var"]
    np.testing.assert_array_equal(arrays["batch_norm_1.running_mean"], np.zeros(5))
    np.testing.assert_array_equal(arrays["batch_norm_1.running_var"], np.ones(5))


def test_every_step_moves_the_buffers_to_its_batch():
    this = one_batch(epochs=3)
    state = State.start(this.recipe, 0)
    center, spread = np.zeros(5), np.ones(5)
    for event in Trainer(this, state).run():
        del event
    again = State.start(this.recipe, 0)
    for epochs in (1, 2, 3):
        h = hidden(named(again, this.recipe), this.train.inputs)
        center, spread = 0.8 * center + 0.2 * h.mean(axis=0), 0.8 * spread + 0.2 * h.var(axis=0, ddof=1)
        settings = this.settings.model_copy(update={"epochs": epochs})
        trained(dataclasses.replace(this, settings=settings), again)
    np.testing.assert_array_equal(again.vectors[BUFFERS], state.vectors[BUFFERS])
    arrays = named(state, this.recipe)
    np.testing.assert_allclose(arrays["batch_norm_1.running_mean"], center, rtol=1e-12)
    np.testing.assert_allclose(arrays["batch_norm_1.running_var"], spread, rtol=1e-12)


def test_evaluation_reads_the_buffers_and_leaves_them():
    r = recipe(NORMED)
    state, data = State.start(r, 0), examples(6, r)
    rng = np.random.default_rng(1)
    state.vectors[BUFFERS][...] = rng.random(10) + 0.5
    before, a = state.vectors[BUFFERS].copy(), named(state, r)
    (found,) = Evaluator(r, state.network).predict([data.inputs])
    normed = (hidden(a, data.inputs) - a["batch_norm_1.running_mean"]) / np.sqrt(a["batch_norm_1.running_var"] + 1e-5)
    logits = np.tanh(normed) @ a["dense_2.weight"].T
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, probs, rtol=1e-12)
    np.testing.assert_array_equal(state.vectors[BUFFERS], before)


def test_every_batch_of_an_update_moves_the_buffers():
    """As PyTorch does: an update of two batches is two moves."""
    r = recipe(NORMED, accumulate=True)
    data = examples(8, r)
    state, _ = trained(spec(r, data, batch_size=4, accumulate=2, shuffle=False, epochs=1))
    h = hidden(named(State.start(r, 0), r), data.inputs)
    expected = 0.2 * (0.8 * h[:4].mean(axis=0) + h[4:].mean(axis=0))
    np.testing.assert_allclose(named(state, r)["batch_norm_1.running_mean"], expected, rtol=1e-12)


@pytest.mark.parametrize("recompute", [2, "auto"])
def test_recomputation_moves_them_once(recompute):
    plain, again = (trained(one_batch(epochs=2, recipe=more))[0] for more in ({}, {"recompute": recompute}))
    for name in (PARAMETERS, BUFFERS):
        np.testing.assert_allclose(again.vectors[name], plain.vectors[name], rtol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", {"type": "sgd", "momentum": 0.9}, "adamw"])
def test_frozen_parameters_stay_as_they_are(optimizer):
    this = one_batch(layers=FROZEN, epochs=3, recipe={"optimizer": optimizer, "l2": 0.1})
    start = named(State.start(this.recipe, 0), this.recipe)
    state, _ = trained(this)
    end = named(state, this.recipe)
    changed = {name for name in end if (end[name] != start[name]).any()}
    assert changed == {*this.recipe.model.params, "batch_norm_1.running_mean", "batch_norm_1.running_var"}
    assert not any(name.startswith("dense_1") for name in this.recipe.model.params)
    assert not any("dense_1" in name for name in state.tensors(this.recipe) if name.startswith("optimizer."))


def test_freezing_moves_no_draw_of_the_others():
    free, frozen = recipe(NORMED), recipe(FROZEN)
    one, two = named(State.start(free, 3), free), named(State.start(frozen, 3), frozen)
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_frozen_normalization_keeps_and_uses_its_buffers():
    layers = (D, {"type": "batch_norm", "trainable": False}, {**D, "units": 3})
    this = one_batch(layers=layers, epochs=1)
    state = State.start(this.recipe, 0)
    state.vectors[BUFFERS][...] = np.random.default_rng(1).random(20) + 0.5
    before = state.vectors[BUFFERS].copy()
    expected = Evaluator(this.recipe, {k: v.copy() for k, v in state.network.items()}).evaluate(this.train)["loss"]
    _, events = trained(this, state)
    assert events[0].loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(state.vectors[BUFFERS], before)


def test_a_checkpoint_has_them_under_their_names():
    r = recipe(FROZEN, optimizer="adam")
    state, _ = trained(spec(r, examples(8, r), batch_size=4, epochs=1))
    tensors = {name: array.copy() for name, array in state.tensors(r).items()}
    other = State.empty(r)
    other.restore(r, tensors, state.counters(), "x.safetensors")
    network = {name: array for name, array in tensors.items() if not name.startswith("optimizer.")}
    for vectors in (other.vectors, network_vectors(r, network, "x.safetensors")):
        for name in r.network:
            np.testing.assert_array_equal(vectors[name], state.vectors[name])
    del tensors["batch_norm_1.running_var"]
    with pytest.raises(CheckpointError) as caught:
        network_vectors(r, tensors, "x.safetensors")
    assert str(caught.value) == (
        "x.safetensors: the checkpoint is of another network: batch_norm_1.running_var is missing"
    )


def test_a_buffer_that_is_not_finite_is_divergence():
    this = one_batch(epochs=1)
    state = State.start(this.recipe, 0)
    state.tensors(this.recipe)["batch_norm_1.running_var"][1] = np.inf
    with pytest.raises(DivergenceError) as caught:
        Trainer(this, state).check_finite()
    assert str(caught.value) == (
        "training diverged at step 0 (epoch 1): batch_norm_1.running_var[1] is inf; "
        "lower optimizer.learning_rate or set training.clip_norm"
    )


def test_a_network_without_buffers_has_no_vector_of_them():
    r = recipe()
    assert r.network == (PARAMETERS,)
    assert BUFFERS not in State.start(r, 0).vectors
