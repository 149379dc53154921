"""Compiled steps that run many in one call: the bits, numbers and ends of steps that Python runs one by one."""

import copy
import dataclasses
import math
import signal
import time
import tracemalloc

import numpy as np
import pytest
from training_support import DENSE, DROPOUT, Examples, examples, made, recipe, spec

from backprop_cli.data.examples import Windows
from backprop_cli.errors import DivergenceError
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.execution.repetition import Repetition
from backprop_cli.nn.average import AVERAGES
from backprop_cli.training import loop
from backprop_cli.training.events import Epoch, Step
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")

TOKENS = ({"type": "dense", "units": 6}, {"type": "reshape", "shape": [2, 3]})
GROUPS = {"type": "adamw", "groups": [{"parameters": "*.bias", "weight_decay": 0.0, "learning_rate": 0.1}]}
COURSE = {"type": "adamw", "weight_decay": 0.3, "weight_decay_schedule": {"type": "flat_cos", "flat": 0.2}}
PLATEAU = {"type": "plateau", "patience": 0, "min_delta": 1.0, "monitor": "train/loss"}
ONE_CYCLE = {"type": "one_cycle", "warmup_steps": 3}
CASES = {
    "sgd": ({"optimizer": "sgd"}, {}),
    "momentum, cosine": ({"optimizer": {"type": "sgd", "momentum": 0.9}}, {"schedule": "cosine"}),
    "adam in float32, one cycle": ({"optimizer": "adam", "dtype": "float32"}, {"schedule": ONE_CYCLE}),
    "nadam, plateau": ({"optimizer": "nadam", "dtype": "float32"}, {"schedule": PLATEAU}),
    "radam, exponential": ({"optimizer": "radam"}, {"schedule": {"type": "exponential", "warmup_steps": 7}}),
    "adamax, clipped": ({"optimizer": "adamax", "clip_norm": 0.1}, {"schedule": "linear"}),
    "decay with a course": ({"optimizer": COURSE, "dtype": "float32"}, {"schedule": "cosine"}),
    "groups, penalties": ({"optimizer": GROUPS, "l1": 0.01, "l2": 0.1, "dtype": "float32"}, {}),
    "binary": ({"loss": "binary_cross_entropy", "optimizer": "adam"}, {}),
    "regression": ({"loss": "mean_squared_error", "optimizer": "adam", "dtype": "float32"}, {}),
    "weights": ({"weighted": True, "class_weights": np.array([1.0, 2.0, 0.5])}, {}),
    "normed": ({"layers": (DENSE[0], "batch_norm", DENSE[1]), "optimizer": "adam"}, {}),
    "accumulated": ({"accumulate": True, "l2": 0.01}, {"accumulate": 2, "batch_size": 3}),
}


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch):
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", math.inf)


@pytest.fixture
def one_by_one(monkeypatch):
    """A function to call: from then on Python runs the steps."""
    return lambda: monkeypatch.setattr(Repetition, "of", classmethod(lambda cls, *_: None))


@pytest.fixture
def repetitions(monkeypatch):
    """What each step was given to run in."""
    found, of = [], Repetition.of
    monkeypatch.setattr(Repetition, "of", lambda *given: found.append(of(*given)) or found[-1])
    return found


def given(case, **more):
    network, training = CASES[case]
    r = recipe(**network)
    data = examples(23, r)
    if r.weighted:
        data = dataclasses.replace(data, weights=np.random.default_rng(1).random(23))
    metric = "mean_absolute_error" if r.loss.task == "regression" else "accuracy"
    keys = {"batch_size": 4, "epochs": 3, "metrics": [metric], **training, **more}
    return dataclasses.replace(spec(r, data, **keys), compiled=True)


def numbers(event):
    """What an event says, without time."""
    if isinstance(event, Epoch):
        event = event._replace(metrics={**event.metrics, "examples_per_second": 0.0})
    return event._replace(seconds=0.0) if isinstance(event, Epoch | Step) else event


def trained(this, every=(), state=None):
    state = State.start(this.recipe, this.seed) if state is None else state
    return state, [numbers(event) for event in Trainer(this, state).run(every)]


def assert_same(found, expected, r):
    assert {**found.counters(), "seconds": 0} == {**expected.counters(), "seconds": 0}
    for name, array in expected.tensors(r).items():
        np.testing.assert_array_equal(found.tensors(r)[name], array, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_bits_and_events_are_those_of_single_steps(case, one_by_one, repetitions):
    """The last batch of an epoch is smaller, and runs on NumPy in both."""
    this = given(case)
    found = [trained(this, every) for every in ((), (2, 3), (1,))]
    assert any(repetitions)
    one_by_one()
    for every, (state, events) in zip(((), (2, 3), (1,)), found, strict=True):
        expected, others = trained(this, every)
        assert events == others
        assert_same(state, expected, this.recipe)


@pytest.mark.parametrize("case", ["adam in float32, one cycle", "nadam, plateau", "groups, penalties"])
def test_a_run_interrupted_at_any_event_goes_on_with_the_same_bits(case):
    this = given(case, epochs=2)
    whole, events = trained(this, (2,))
    for stop in range(1, len(events) + 1):
        state, before = State.start(this.recipe, 0), []
        for event in Trainer(this, state).run((2,)):
            before.append(numbers(event))
            if len(before) == stop:
                break
        tensors = {name: array.copy() for name, array in state.tensors(this.recipe).items()}
        fresh = State.start(this.recipe, 0)
        fresh.restore(this.recipe, tensors, copy.deepcopy(state.counters()), "x.safetensors")
        state, after = trained(this, (2,), fresh)
        assert before + after == events
        assert_same(state, whole, this.recipe)


def diverged_both_ways(this, r, one_by_one):
    """The state and the message of a diverging run with blocks, then with single steps."""
    found = []
    for _ in range(2):
        state = State.start(r, 0)
        with pytest.raises(DivergenceError) as caught:
            trained(this, (), state)
        found.append((state, str(caught.value)))
        one_by_one()
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("place", range(1, 7))
def test_divergence_at_any_place_of_a_block(place, dtype, one_by_one):
    r = recipe(loss="mean_squared_error", dtype=dtype, optimizer="adam")
    data = examples(24, r)
    data.targets[place * 4 - 1] = np.finfo(dtype).max
    this = dataclasses.replace(spec(r, data, batch_size=4, epochs=1, shuffle=False), compiled=True)
    (state, message), (expected, other) = diverged_both_ways(this, r, one_by_one)
    assert message == other
    assert message.startswith(f"training diverged at step {place} (epoch 1): loss inf")
    assert (state.step, state.position) == (place, 4 * place)
    assert_same(state, expected, r)


def test_costs_whose_sum_alone_overflows(one_by_one):
    """The mean of a batch is finite, the sum of its costs is not."""
    r = recipe(({"type": "dense", "units": 3},), loss="mean_absolute_error")
    data = examples(24, r)
    data.targets[8:12] = 1e308
    this = dataclasses.replace(spec(r, data, batch_size=4, epochs=1, shuffle=False), compiled=True)
    (state, message), (expected, other) = diverged_both_ways(this, r, one_by_one)
    assert message == other
    assert state.step == expected.step == 3


def test_a_signal_in_a_block_leaves_the_state_after_its_last_step():
    """For instance a second Ctrl-C, whose handler raises an exception."""
    r = recipe(optimizer="adam")
    this = dataclasses.replace(spec(r, examples(200_000, r), batch_size=1, epochs=1), compiled=True)
    state = State.start(r, 0)
    trainer = Trainer(this, state)
    trainer.warm_up()

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            next(trainer.run(()))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 1 < state.step < 200_000
    assert state.position == state.memory["epoch"]["steps"] == state.memory["epoch"]["examples"] == state.step
    expected, _ = trained(
        dataclasses.replace(this, settings=this.settings.model_copy(update={"max_steps": state.step}))
    )
    np.testing.assert_array_equal(state.parameters, expected.parameters)


def test_blocks_end_after_the_heartbeat(monkeypatch):
    r = recipe()
    this = dataclasses.replace(spec(r, examples(400_000, r), batch_size=2, epochs=1), compiled=True)
    for seconds in (0.0, 0.004):
        monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", seconds)
        trainer, times, steps = Trainer(this, State.start(r, 0)), [], [0]
        trainer.warm_up()
        for event in trainer.run(()):
            if isinstance(event, Step):
                times.append(time.perf_counter())
                steps.append(event.step)
            if len(times) == 20:
                break
        if seconds:
            assert min(np.diff(times)) > 0.0039
            assert np.median(np.diff(steps)) > 1
        else:
            assert steps == list(range(21))


@pytest.mark.parametrize(
    "change",
    ["dropout", "augmentation", "averaging", "windows"],
)
def test_steps_with_something_to_do_in_python_run_one_by_one(change, repetitions):
    r = recipe(DROPOUT if change == "dropout" else DENSE, dtype="float32")
    data = examples(20, r)
    if change == "windows":
        data = Examples(Windows(np.zeros(23, np.float32), np.arange(20), 4, (4,), np.dtype("float32")), data.targets)
    if change == "averaging":
        r = recipe(dtype="float32", average=made(AVERAGES, "ema"))
    this = dataclasses.replace(spec(r, data, batch_size=4, epochs=1), compiled=True)
    if change == "augmentation":
        this = dataclasses.replace(this, augment=lambda inputs, epoch, start: None)
    trained(this)
    assert not any(repetitions)


def test_blocks_keep_no_memory():
    r = recipe(optimizer="adam", dtype="float32")
    data = examples(32 * 300, r)
    this = dataclasses.replace(spec(r, data, metrics=["accuracy"], batch_size=32, epochs=1), compiled=True)
    run = Trainer(this, State.start(r, 0)).run((20,))
    next(run)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(10):
            next(run)
        assert tracemalloc.get_traced_memory()[0] - before < 2000
    finally:
        tracemalloc.stop()
