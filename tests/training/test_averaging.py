"""Averages and lookahead in training: against the same followed by hand, and through a checkpoint."""

import json

import numpy as np
import pytest
from training_support import DENSE, epochs, examples, made, recipe, spec, trained

from backprop_cli.nn.average import AVERAGES, StepEnd
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.events import Step
from backprop_cli.training.loop import Trainer
from backprop_cli.training.settings import LookaheadSettings
from backprop_cli.training.state import State, network_vectors
from backprop_cli.training.step_program import BUFFERS, PARAMETERS

WITH_NORM = (DENSE[0], {"type": "batch_norm"}, DENSE[1])
EMA = {"type": "ema", "decay": 0.8}
SWA = {"type": "swa", "from_epoch": 2, "every": 2}
LOOKAHEAD = LookaheadSettings(steps=5, rate=0.25)
FOLLOWING = {
    "ema": {"average": EMA},
    "ema every 3": {"average": {**EMA, "every": 3}},
    "swa": {"average": SWA},
    "lookahead": {"lookahead": LOOKAHEAD},
    "both": {"average": EMA, "lookahead": LOOKAHEAD},
}


def made_recipe(average=None, lookahead=None, **more):
    more = {"layers": WITH_NORM, "optimizer": "adam", **more}
    return recipe(**more, average=None if average is None else made(AVERAGES, average), lookahead=lookahead)


def moments(count):
    """Updates of epochs of 4."""
    return [StepEnd(step, -(-step // 4), step % 4 == 0) for step in range(1, count + 1)]


def steps_of(given, state=None):
    """The vectors after every update of a spec."""
    state = State.start(given.recipe, given.seed) if state is None else state
    found = []
    for event in Trainer(given, state).run():
        if isinstance(event, Step):
            found.append({name: vector.copy() for name, vector in state.vectors.items()})
    return state, found


@pytest.mark.parametrize("average", [EMA, {**EMA, "every": 3, "bias_correction": False}, SWA], ids=str)
def test_the_average_is_its_definition_and_the_parameters_are_those_without(average):
    r, plain = made_recipe(average), made_recipe()
    data = examples(20, r)
    state, found = steps_of(spec(r, data, epochs=4, batch_size=6))
    alone, _ = steps_of(spec(plain, data, epochs=4, batch_size=6))
    for name in (PARAMETERS, BUFFERS):
        np.testing.assert_array_equal(state.vectors[name], alone.vectors[name])
        for k, at in enumerate(moments(16)):
            history = [(moment, found[i][name]) for i, moment in enumerate(moments(16)[: k + 1])]
            wanted = r.average.formula(history)
            np.testing.assert_allclose(found[k][f"average.{name}"], wanted, rtol=0, atol=1e-14, err_msg=str(at))


def test_lookahead_by_hand():
    """Plain gradient descent has no memory, so that between two syncs it is a run from the slow weights."""
    r, plain = made_recipe(lookahead=LOOKAHEAD, optimizer="sgd"), made_recipe(optimizer="sgd")
    data = examples(6, r)
    _, found = steps_of(spec(r, data, epochs=10, batch_size=6, shuffle=False))
    slow, state = State.start(plain, 0).parameters.copy(), State.start(plain, 0)
    for sync in range(2):
        part = spec(plain, data, epochs=5 * (sync + 1), batch_size=6, shuffle=False)
        state.parameters[...] = slow
        _, fast = steps_of(part, state)
        for k in range(4):
            np.testing.assert_array_equal(found[5 * sync + k][PARAMETERS], fast[k][PARAMETERS])
            np.testing.assert_array_equal(found[5 * sync + k]["slow.parameters"], slow)
        slow = slow + 0.25 * (fast[4][PARAMETERS] - slow)
        np.testing.assert_allclose(found[5 * sync + 4][PARAMETERS], slow, rtol=0, atol=1e-15)
        np.testing.assert_array_equal(found[5 * sync + 4][PARAMETERS], found[5 * sync + 4]["slow.parameters"])


def test_with_both_the_average_is_of_the_slow_weights():
    r = made_recipe(EMA, LOOKAHEAD)
    _, found = steps_of(spec(r, examples(20, r), epochs=2, batch_size=6))
    history = [(moment, vectors["slow.parameters"]) for moment, vectors in zip(moments(8), found, strict=True)]
    np.testing.assert_allclose(found[-1]["average.parameters"], r.average.formula(history), rtol=0, atol=1e-14)


@pytest.mark.parametrize("following", FOLLOWING)
def test_what_is_evaluated_is_what_follows(following):
    r = made_recipe(**FOLLOWING[following])
    held_out = examples(9, r, seed=1)
    state, events = trained(spec(r, examples(20, r), validation=held_out, epochs=3, batch_size=6))
    vectors = {"lookahead": {PARAMETERS: "slow.parameters", BUFFERS: BUFFERS}}.get(
        following, {name: f"average.{name}" for name in (PARAMETERS, BUFFERS)}
    )
    network = {name: state.vectors[vector] for name, vector in vectors.items()}
    assert (network[PARAMETERS] != state.parameters).any()
    assert epochs(events)[-1].metrics["validation/loss"] == Evaluator(r, network).evaluate(held_out)["loss"]


@pytest.mark.parametrize("following", FOLLOWING)
@pytest.mark.parametrize("stop", [1, 3, 4, 7, 10])
def test_goes_on_with_the_same_bits(following, stop):
    r = made_recipe(**FOLLOWING[following], dtype="float32")
    data = examples(20, r)
    whole, _ = trained(spec(r, data, epochs=4, batch_size=6))
    begun = State.start(r, 0)
    for event in Trainer(spec(r, data, epochs=4, batch_size=6), begun).run():
        if isinstance(event, Step) and event.step == stop:
            break
    tensors = {name: array.copy() for name, array in begun.tensors(r).items()}
    rest = State.start(r, 5)
    rest.restore(r, tensors, json.loads(json.dumps(begun.counters())), "x.safetensors")
    trained(spec(r, data, epochs=4, batch_size=6), rest)
    assert set(rest.vectors) == set(whole.vectors)
    for name, vector in whole.vectors.items():
        np.testing.assert_array_equal(rest.vectors[name], vector, err_msg=name)


@pytest.mark.parametrize("following", FOLLOWING)
def test_a_checkpoint_has_what_is_evaluated_under_the_plain_names(following):
    r = made_recipe(**FOLLOWING[following], optimizer="sgd")
    state, _ = trained(spec(r, examples(20, r), epochs=3, batch_size=6))
    tensors = state.tensors(r)
    network, names = set(r.model.params) | set(r.model.buffers), set(r.model.params)
    beside = {f"training.{name}" for name in (names if following == "lookahead" else network)}
    if following == "both":
        beside |= {f"lookahead.{name}" for name in names}
    assert set(tensors) == network | beside
    plain = made_recipe(optimizer="adam")
    found = network_vectors(plain, tensors, "x.safetensors")
    for name, vector in state.evaluated.items():
        np.testing.assert_array_equal(found[name], vector)


def test_an_average_that_has_not_begun_is_the_parameters():
    r = made_recipe({"type": "swa", "from_epoch": 3})
    state, _ = trained(spec(r, examples(20, r), epochs=5, batch_size=6, max_steps=6))
    np.testing.assert_array_equal(state.vectors["average.parameters"], state.parameters)
    no_step = State.start(r, 0)
    Trainer(spec(r, examples(20, r), epochs=0), no_step)
    np.testing.assert_array_equal(no_step.vectors["average.parameters"], no_step.parameters)
    assert no_step.parameters.any()
