"""Which updates are events, and that nothing but the events depends on it."""

import copy
import dataclasses
import math
import time

import numpy as np
import pytest
from training_support import DROPOUT, epochs, examples, losses, recipe, spec

from backprop_cli.errors import DivergenceError
from backprop_cli.nn.schedule import SCHEDULES, Clock
from backprop_cli.training import batch_step, loop, updates
from backprop_cli.training.events import Epoch, Step, Stopped
from backprop_cli.training.loop import Trainer
from backprop_cli.training.monitor import Monitor
from backprop_cli.training.state import State

NUMBERS = ("step", "epoch", "loss", "regularization", "gradient_norm", "learning_rate", "examples")


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch):
    """Events are those asked for, however slow the machine is."""
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", math.inf)


def trained(this, every=(), state=None):
    state = State.start(this.recipe, this.seed) if state is None else state
    return state, list(Trainer(this, state).run(every))


def steps(events) -> list[int]:
    return [event.step for event in events if isinstance(event, Step)]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ((), [5, 10, 15]),
        ((1,), list(range(1, 16))),
        ((2,), [2, 4, 5, 6, 8, 10, 12, 14, 15]),
        ((3, 7), [3, 5, 6, 7, 9, 10, 12, 14, 15]),
        ((100,), [5, 10, 15]),
    ],
)
def test_steps_that_were_asked_for_and_the_last_of_an_epoch(every, expected):
    r = recipe()
    assert steps(trained(spec(r, examples(20, r), batch_size=4, epochs=3), every)[1]) == expected


def test_periods_count_from_the_first_step_of_the_run_not_of_the_process():
    r = recipe()
    this = spec(r, examples(20, r), batch_size=4, epochs=3)
    state = State.start(r, 0)
    next(Trainer(this, state).run((4,)))
    assert steps(trained(this, (3,), state)[1]) == [5, 6, 9, 10, 12, 15]


CASES = {
    "smaller last batch": ({}, {"batch_size": 6, "schedule": "cosine"}),
    "one batch": ({}, {"batch_size": 64}),
    "accumulated": ({"accumulate": True, "layers": DROPOUT, "l2": 0.01}, {"batch_size": 3, "accumulate": 3}),
    "adam, dropout, warm-up": (
        {"layers": DROPOUT, "optimizer": "adam", "dtype": "float32", "l1": 0.01, "clip_norm": 0.1},
        {"batch_size": 3, "schedule": {"type": "step", "every_epochs": 1, "warmup_steps": 5}},
    ),
    "nadam, plateau": (
        {"optimizer": "nadam", "dtype": "float32"},
        {"batch_size": 4, "schedule": {"type": "plateau", "patience": 0, "min_delta": 1.0, "monitor": "train/loss"}},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("every", [(), (2,), (3, 4)])
def test_bits_and_numbers_do_not_depend_on_which_steps_are_events(case, every):
    network, training = CASES[case]
    r = recipe(**network)
    data = examples(20, r)

    def make():
        return spec(
            r, data, metrics=["accuracy"], validation=data, best=Monitor("train/loss", "min"), epochs=4, **training
        )

    state, all_events = trained(make(), (1,))
    same, some = trained(make(), every)
    for name, array in state.tensors(r).items():
        np.testing.assert_array_equal(same.tensors(r)[name], array, err_msg=name)
    assert same.counters() == state.counters()
    for event, other in zip(epochs(all_events), epochs(some), strict=True):
        assert {**event.metrics, "examples_per_second": 0} == {**other.metrics, "examples_per_second": 0}
    numbers = {event.step: event[:-1] for event in all_events if isinstance(event, Step)}
    assert steps(some)
    assert all(event[:-1] == numbers[event.step] for event in some if isinstance(event, Step))


@pytest.mark.parametrize("case", CASES)
def test_the_state_is_exact_at_an_event_that_others_do_not_have(case):
    network, training = CASES[case]
    r = recipe(**network)
    this = spec(r, examples(20, r), metrics=["accuracy"], epochs=2, **training)
    whole, _ = trained(this)
    for every in (2, 3, 5):
        state = State.start(r, 0)
        next(Trainer(this, state).run((every,)))
        fresh = State.start(r, 0)
        tensors = {name: array.copy() for name, array in state.tensors(r).items()}
        fresh.restore(r, tensors, copy.deepcopy(state.counters()), "x.safetensors")
        trained(this, (), fresh)
        assert fresh.counters() == whole.counters()
        np.testing.assert_array_equal(fresh.parameters, whole.parameters)


def test_the_batch_of_an_event_is_its_own():
    r = recipe(accumulate=True)
    this = spec(r, examples(20, r), batch_size=3, accumulate=2, epochs=1)
    trainer = Trainer(this, State.start(r, 0))
    order = this.order(1).tolist()
    assert trainer.batch.tolist() == order[:3]
    batches = [trainer.batch.tolist() for event in trainer.run((2,)) if isinstance(event, Step)]
    assert batches == [order[6:12], order[18:]]


def test_max_steps_between_events():
    r = recipe()
    state, events = trained(spec(r, examples(20, r), batch_size=4, epochs=3, max_steps=8), (5,))
    assert steps(events) == [5, 8]
    assert events[-1] == Stopped(8, 2, "max_steps: 8 steps are done")
    assert (state.step, state.position) == (8, 12)


def test_max_seconds_between_events(monkeypatch):
    now = [100.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(updates, "perf_counter", clock)
    monkeypatch.setattr(batch_step, "perf_counter", clock)
    monkeypatch.setattr(time, "perf_counter", clock)
    r = recipe()
    state, events = trained(spec(r, examples(400, r), batch_size=4, epochs=3, max_seconds=20.5))
    assert events[-1].reason == "max_seconds: 20.5 s are over"
    assert 10 < state.step < 20


def test_a_step_is_an_event_where_a_while_has_passed_without_one(monkeypatch):
    monkeypatch.setattr(loop, "HEARTBEAT_SECONDS", 0.01)
    r = recipe()
    times = [time.perf_counter()]
    for event in Trainer(spec(r, examples(5000, r), batch_size=1, epochs=1), State.start(r, 0)).run(()):
        if isinstance(event, Step):
            times.append(time.perf_counter())
    assert len(times) > 3
    assert min(np.diff(times)[:-1]) > 0.0099  # the last one is that of the end of the epoch


@pytest.mark.parametrize("accumulate", [1, 2])
def test_divergence_is_noticed_at_the_update_it_happens(accumulate):
    """It happens in the middle of an epoch without events, and the state is that after the step."""
    r = recipe(loss="mean_squared_error", optimizer={"type": "sgd", "learning_rate": 1e100}, accumulate=accumulate > 1)
    this = spec(r, examples(200, r), batch_size=2, accumulate=accumulate, epochs=1)
    messages, places = [], []
    for every in ((), (1,)):
        state = State.start(r, 0)
        with pytest.raises(DivergenceError) as caught:
            trained(this, every, state)
        messages.append(str(caught.value))
        places.append((state.step, state.position))
    assert messages[0] == messages[1]
    assert places[0] == places[1]
    step, position = places[0]
    assert 1 < step < 10
    assert position == step * 2 * accumulate
    assert messages[0].startswith(f"training diverged at step {step} (epoch 1): loss ")


def test_what_breaks_an_update_leaves_the_state_after_the_last_whole_one():
    """For instance a second Ctrl-C, which ends at once: run.json says how many steps are done."""
    r = recipe()
    state, gathered = State.start(r, 0), []

    def augment(inputs, epoch, start):
        gathered.append(inputs)
        if len(gathered) == 8:
            raise KeyboardInterrupt

    this = dataclasses.replace(spec(r, examples(200, r), batch_size=2, epochs=1), augment=augment)
    with pytest.raises(KeyboardInterrupt):
        list(Trainer(this, state).run(()))
    assert (state.step, state.position) == (7, 14)
    assert state.memory["epoch"]["steps"] == 7
    assert state.memory["epoch"]["examples"] == 14


def test_numpys_error_state_is_that_of_the_caller_at_every_event():
    r = recipe(loss="mean_squared_error")
    this = spec(r, examples(20, r), batch_size=4, epochs=1)
    with np.errstate(over="raise", under="warn"):
        before = np.geterr()
        for _ in Trainer(this, State.start(r, 0)).run((2,)):
            assert np.geterr() == before


def test_an_epochs_loss_is_added_up_in_the_order_of_its_batches():
    r = recipe()
    _, events = trained(spec(r, examples(20, r), batch_size=3, epochs=1), (1,))
    sizes = [event.examples for event in events if isinstance(event, Step)]
    total = 0.0
    for loss, size in zip(losses(events), sizes, strict=True):
        total += loss * size
    (epoch,) = [event for event in events if isinstance(event, Epoch)]
    assert epoch.metrics["train/loss"] == pytest.approx(total / 20, rel=1e-15)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_schedules_say_truly_whether_they_change_within_an_epoch(name):
    """Where they do not, the learning rate is asked for once an epoch."""
    schedule = SCHEDULES[name]()
    scales = {schedule.scale(Clock(step, 7, 1000, 100), {"scale": 0.25}) for step in range(601, 701)}
    assert (len(scales) == 1) == schedule.by_epoch
