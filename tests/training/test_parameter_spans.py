"""Parts of the vector with optimizers of their own: groups, muon's fallback, and what sees a parameter in its shape."""

import json
from pathlib import Path

import numpy as np
import pytest
from training_support import DENSE, DROPOUT, Examples, examples, losses, recipe, spec, trained

from backprop_cli.execution.plan import Plan
from backprop_cli.training.state import State
from backprop_cli.training.step_program import training_step

TORCH = json.loads((Path(__file__).parents[1] / "nn" / "torch_reference.json").read_text())["optimizers"]
LAYERS = ({"type": "dense", "units": 4, "activation": "tanh"}, {"type": "dense", "units": 2})
GROUPED = {
    "type": "adam",
    "groups": [{"parameters": "*.bias", "learning_rate": 0.01}, {"parameters": "dense_2.*", "amsgrad": True}],
}
MUON = {"type": "muon", "fallback": "sgd"}


@pytest.mark.parametrize("name", TORCH["parts"])
def test_twenty_steps_are_pytorchs(name):
    run = TORCH["parts"][name]
    r = recipe(LAYERS, (3,), "mean_squared_error", run["settings"])
    state = State.start(r, 0)
    plain = recipe(LAYERS, (3,)).layout  # in the order of the layers, as PyTorch's
    views = r.layout.arrays(state.parameters)
    for key, array in plain.arrays(np.array(TORCH["start"])).items():
        views[key][...] = array
    data = Examples(np.array(TORCH["x"]), np.array(TORCH["t"]))
    _, events = trained(spec(r, data, epochs=20, batch_size=6, shuffle=False), state)
    np.testing.assert_allclose(losses(events), run["losses"], rtol=1e-10)
    for key, array in plain.arrays(np.array(run["end"])).items():
        np.testing.assert_allclose(views[key], array, rtol=0, atol=1e-10, err_msg=key)


def test_every_part_is_one_span():
    r = recipe(DENSE, optimizer=GROUPED)
    assert [list(part.layout.shapes) for part in r.spans] == [
        ["dense_1.weight"],
        ["dense_1.bias", "dense_2.bias"],
        ["dense_2.weight"],
    ]
    assert list(r.layout.shapes) == [name for part in r.spans for name in part.layout.shapes]
    assert [r.layout.span(next(iter(part.layout.shapes)))[0] for part in r.spans] == [part.start for part in r.spans]


def test_groups_that_are_the_same_are_one():
    settings = {"type": "sgd", "groups": [{"parameters": "*.bias", "learning_rate": 1e-3}]}
    assert len(recipe(optimizer=settings).spans) == 1


@pytest.mark.parametrize("optimizer", ["adam", {"type": "sgd", "momentum": 0.9}])
def test_without_groups_the_program_is_what_it_was(optimizer):
    """A group of all parameters changes its settings, and no line of the program."""
    settings = {"type": optimizer} if isinstance(optimizer, str) else optimizer
    grouped = {**settings, "learning_rate": 0.5, "groups": [{"parameters": "*", "learning_rate": 1e-3}]}
    assert str(training_step(recipe(optimizer=settings), 4)) == str(training_step(recipe(optimizer=grouped), 4))


def test_groups_are_optimizers_of_their_own():
    """What moves in a group is what moves when all parameters have its keys, for one step from one point."""
    r = recipe(DENSE, optimizer=GROUPED)
    data = examples(12, r)
    found = r.layout.arrays(trained(spec(r, data, epochs=1, batch_size=12))[0].parameters)
    rates = {"dense_1.weight": 1e-3, "dense_1.bias": 0.01, "dense_2.weight": 1e-3, "dense_2.bias": 0.01}
    for name, rate in rates.items():
        alone = recipe(DENSE, optimizer={"type": "adam", "learning_rate": rate})
        state, _ = trained(spec(alone, data, epochs=1, batch_size=12))
        np.testing.assert_array_equal(found[name], alone.layout.arrays(state.parameters)[name])


def test_the_schedule_scales_every_rate_and_the_reported_one_is_that_without_groups():
    settings = {"type": "sgd", "learning_rate": 0.5, "groups": [{"parameters": "*.bias", "learning_rate": 0.25}]}
    r, plain = recipe(optimizer=settings), recipe(optimizer={"type": "sgd", "learning_rate": 0.25})
    data, schedule = examples(12, r), {"type": "constant", "warmup_steps": 2}
    grouped, events = trained(spec(r, data, epochs=1, batch_size=12, schedule=schedule))
    alone, _ = trained(spec(plain, data, epochs=1, batch_size=12, schedule=schedule))
    assert events[0].learning_rate == 0.25
    biases = [
        views["dense_1.bias"] for views in (r.layout.arrays(grouped.parameters), plain.layout.arrays(alone.parameters))
    ]
    np.testing.assert_array_equal(*biases)


@pytest.mark.parametrize("optimizer", [GROUPED, MUON, "lamb"], ids=["groups", "muon", "lamb"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slots_are_as_large_as_what_they_are_for_and_have_its_names(optimizer, dtype):
    r = recipe(DENSE, optimizer=optimizer, dtype=dtype)
    state = State.start(r, 0)
    for part in r.spans:
        for vector in part.slots():
            assert state.vectors[vector].shape == (part.layout.size,)
    expected = [
        f"optimizer.{slot}.{name}" for part in r.spans for slot in part.slots().values() for name in part.layout.shapes
    ]
    assert [name for name in state.tensors(r) if name.startswith("optimizer.")] == expected


def test_of_muon_and_its_fallback():
    r = recipe(DENSE, optimizer={"type": "muon", "fallback": "adam", "fallback_for": "dense_2.*"})
    names = set(State.start(r, 0).tensors(r))
    assert "optimizer.momentum.dense_1.weight" in names
    assert "optimizer.m.dense_2.weight" in names
    assert "optimizer.momentum.dense_2.weight" not in names


@pytest.mark.parametrize("optimizer", [GROUPED, MUON, "lamb"], ids=["groups", "muon", "lamb"])
def test_the_initial_weights_are_the_same_in_another_order(optimizer):
    r, plain = recipe(DENSE, optimizer=optimizer), recipe(DENSE)
    found = r.layout.arrays(State.start(r, 3).parameters)
    for name, array in plain.layout.arrays(State.start(plain, 3).parameters).items():
        np.testing.assert_array_equal(found[name], array)


def test_no_state_is_copied_for_groups(monkeypatch):
    """New slots and parameters are written over the old ones, part by part."""
    right, copied = np.copyto, []
    monkeypatch.setattr(np, "copyto", lambda to, *x, **more: copied.append(to) or right(to, *x, **more))
    plan = Plan(training_step(recipe(DROPOUT, optimizer=GROUPED), 4))
    copied.clear()
    plan.run()
    assert not [to for to in copied if any(to is array for array in plan.inputs.values())]
