"""State and layout: parameters as views of one vector, and the way through a checkpoint."""

import json

import numpy as np
import pytest
from training_support import DENSE, recipe

from backprop_cli.errors import CheckpointError
from backprop_cli.training.layout import Layout
from backprop_cli.training.state import State, network_vectors
from backprop_cli.training.step_program import PARAMETERS

LAYOUT = Layout({"a.weight": (2, 3), "a.bias": (2,), "b.weight": ()})


def test_parameters_are_views_of_the_vector():
    vector = np.arange(LAYOUT.size, dtype=np.float64)
    arrays = LAYOUT.arrays(vector)
    assert {name: array.shape for name, array in arrays.items()} == LAYOUT.shapes
    assert all(np.shares_memory(array, vector) for array in arrays.values())
    assert [LAYOUT.span(name) for name in LAYOUT.shapes] == [(0, 6), (6, 8), (8, 9)]


def test_every_element_has_a_name():
    arrays = LAYOUT.arrays(np.arange(LAYOUT.size))
    for element in range(LAYOUT.size):
        name, index = LAYOUT.name_at(element)
        assert arrays[name][index] == element
    with pytest.raises(IndexError, match="element 9 of 9"):
        LAYOUT.name_at(9)


def test_empty_layout():
    assert Layout({}).size == 0


def test_start_is_the_models_and_the_slots_are_the_optimizers():
    r = recipe(optimizer="adam", dtype="float32")
    state = State.start(r, 7)
    tensors = state.tensors(r)
    parameters = ["dense_1.weight", "dense_1.bias", "dense_2.weight", "dense_2.bias"]
    assert list(tensors) == [
        *parameters,
        *(f"optimizer.{slot}.{name}" for slot in ("m", "v") for name in parameters),
    ]
    assert tensors["dense_1.weight"].any()
    assert not tensors["dense_1.bias"].any()
    assert not tensors["optimizer.m.dense_1.weight"].any()
    np.testing.assert_array_equal(State.start(r, 7).parameters, state.parameters)
    assert (State.start(r, 8).parameters != state.parameters).any()


def test_initial_weights_do_not_depend_on_the_optimizer_or_on_noise():
    plain, other = recipe(), recipe(({**DENSE[0]}, {"type": "dropout"}, DENSE[1]), optimizer="adam")
    np.testing.assert_array_equal(State.start(plain, 0).parameters, State.start(other, 0).parameters)


def way_round(state: State, r) -> State:
    other = State.empty(r)
    tensors = {name: array.copy() for name, array in state.tensors(r).items()}
    other.restore(r, tensors, json.loads(json.dumps(state.counters())), "x.safetensors")
    return other


@pytest.mark.parametrize("kind", ["adam", "adamw", "lamb", "nadam", "radam"])
def test_slots_of_older_checkpoints_are_converted(kind):
    """They were m / (1 - beta1), and v times a power of 4 over 1 - beta2: for beta2 0.999 that is 4^-5 / 0.001."""
    r = recipe(optimizer={"type": kind, **({"amsgrad": True} if kind.startswith("adam") else {})})
    state, rng = State.start(r, 0), np.random.default_rng(5)
    former = {"m": ("m_sum", 1 / (1 - 0.9)), "v": ("v_scaled", 4.0**-5 / (1 - 0.999))}
    former["v_max"] = ("v_largest", former["v"][1])
    for vector in state.vectors.values():
        vector[...] = rng.standard_normal(vector.shape)
    older = {}
    for name, array in state.tensors(r).items():
        group, _, rest = name.partition(".")
        slot, _, parameter = rest.partition(".")
        old, factor = former[slot] if group == "optimizer" else ("", 1.0)
        older[f"optimizer.{old}.{parameter}" if old else name] = array * factor
    other = State.empty(r)
    other.restore(r, older, json.loads(json.dumps(state.counters())), "x.safetensors")
    for name, vector in state.vectors.items():
        np.testing.assert_allclose(other.vectors[name], vector, rtol=1e-12)


def test_a_restored_state_is_the_same_bit_for_bit():
    r = recipe(optimizer="adam", dtype="float32")
    state = State.start(r, 0)
    rng = np.random.default_rng(5)
    for vector in state.vectors.values():
        vector[...] = rng.standard_normal(vector.shape)
    state.noise.random(3, dtype=np.float32)  # half of a 64-bit draw is kept for the next one
    state.step, state.epoch, state.position, state.seconds = 12, 3, 5, 0.1 + 0.2
    state.memory = {"best": {"value": 1 / 3, "step": 9, "epoch": 2, "waited": 1}}
    other = way_round(state, r)
    assert other.counters() == state.counters()
    for name, vector in state.vectors.items():
        np.testing.assert_array_equal(other.vectors[name], vector)
    np.testing.assert_array_equal(other.noise.random(5, dtype=np.float32), state.noise.random(5, dtype=np.float32))


def test_parameters_alone_whatever_the_optimizer_was():
    r = recipe(optimizer="adam")
    tensors = State.start(r, 3).tensors(r)
    plain = recipe()
    found = network_vectors(plain, {**tensors, "epoch.predictions": np.zeros((3, 3))}, "x.safetensors")
    np.testing.assert_array_equal(found[PARAMETERS], State.start(r, 3).parameters)


def test_a_layer_may_be_called_optimizer():
    r = recipe(({**DENSE[0], "name": "optimizer"}, {**DENSE[1], "name": "epoch"}))
    found = network_vectors(r, State.start(r, 3).tensors(r), "x.safetensors")
    np.testing.assert_array_equal(found[PARAMETERS], State.start(r, 3).parameters)


def refused(r, tensors, counters=None) -> str:
    """The message of a checkpoint of another network; without ``counters`` only the network is read."""
    with pytest.raises(CheckpointError) as caught:
        if counters is None:
            network_vectors(r, tensors, "x.safetensors")
        else:
            State.empty(r).restore(r, tensors, counters, "x.safetensors")
    return str(caught.value)


def test_another_network_is_refused_and_every_difference_named():
    other = recipe(({"type": "dense", "units": 6}, {"type": "dense", "units": 3, "bias": False}), dtype="float32")
    assert refused(recipe(), State.start(other, 0).tensors(other)) == (
        "x.safetensors: the checkpoint is of another network: dense_2.bias is missing; "
        "dense_1.weight is float32 [6, 4], expected float64 [5, 4]; "
        "dense_1.bias is float32 [6], expected float64 [5]; "
        "dense_2.weight is float32 [3, 6], expected float64 [3, 5]"
    )


def test_many_differences_are_counted():
    r = recipe()
    tensors = {f"x{k}.weight": np.zeros(2) for k in range(4)} | {"optimizer.m.x": np.zeros(1)}
    assert refused(r, tensors) == (
        "x.safetensors: the checkpoint is of another network: dense_1.weight is missing; dense_1.bias is missing; "
        "dense_2.weight is missing; dense_2.bias is missing; x0.weight is unknown; and 3 more"
    )


def test_to_go_on_needs_the_same_optimizer():
    r, plain = recipe(optimizer={"type": "sgd", "momentum": 0.9}), recipe()
    state = State.start(plain, 0)
    assert refused(r, state.tensors(plain), state.counters()) == (
        "x.safetensors: the checkpoint is of another network: optimizer.momentum.dense_1.weight is missing; "
        "optimizer.momentum.dense_1.bias is missing; optimizer.momentum.dense_2.weight is missing; "
        "optimizer.momentum.dense_2.bias is missing"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"step": "x"}, "ValueError: expected a count, got 'x'"),
        ({"epoch": 1.5}, "ValueError: expected a count, got 1.5"),
        ({"position": -1}, "ValueError: expected a count, got -1"),
        ({"memory": {"best": 3}}, "AttributeError: 'int' object has no attribute 'items'"),
        ({"memory": {"best": {"step": None}}}, "TypeError: best.step: expected a number, got None"),
        ({"memory": 3}, "AttributeError: 'int' object has no attribute 'items'"),
        ({"random": {"bit_generator": "MT19937"}}, "ValueError: state must be for a PCG64 RNG"),
        ({"random": None}, "TypeError: state must be a dict"),
    ],
)
def test_counters_of_another_kind(change, reason):
    r = recipe()
    state = State.start(r, 0)
    assert refused(r, state.tensors(r), state.counters() | change) == (
        f"x.safetensors: the state in it cannot be read ({reason}); use another checkpoint"
    )


def test_predictions_of_another_shape():
    r = recipe()
    state = State.start(r, 0)
    tensors = {**state.tensors(r), "epoch.predictions": np.zeros((4, 3))}
    assert refused(r, tensors, state.counters() | {"position": 5}) == (
        "x.safetensors: epoch.predictions has the shape [4, 3], expected [5, 3]; use another checkpoint"
    )


def test_counters_do_not_depend_on_the_clock():
    state = State.start(recipe(), 0)
    before = state.counters()
    state.seconds = 12.5
    assert state.counters() == before
