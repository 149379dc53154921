"""A training that is interrupted anywhere goes on with the same bits, and with what has changed since."""

import copy
import json

import numpy as np
import pytest
from training_support import DENSE, DROPOUT, epochs, examples, recipe, spec, trained

from backprop_cli.training.events import Epoch, Step
from backprop_cli.training.loop import Trainer
from backprop_cli.training.monitor import Monitor
from backprop_cli.training.state import State

RESUMED = {
    "plain": ({}, {}),
    "dropout and momentum": ({"layers": DROPOUT, "optimizer": {"type": "sgd", "momentum": 0.9}}, {}),
    "adam in float32": ({"layers": DROPOUT, "optimizer": "adam", "dtype": "float32"}, {"schedule": "cosine"}),
    "nadam, plateau": (
        {"optimizer": "nadam"},
        {"schedule": {"type": "plateau", "patience": 0, "min_delta": 0.02, "monitor": "train/accuracy"}},
    ),
    "accumulated": ({"layers": DROPOUT, "accumulate": True, "l2": 0.01}, {"accumulate": 2, "batch_size": 2}),
    "early stopping": ({}, {"early_stopping": Monitor("train/accuracy", "max", 0.1, 1)}),
    "one cycle, warm-up": ({"clip_norm": 0.1}, {"schedule": {"type": "one_cycle", "warmup_steps": 3}}),
}


def saved(state: State, r, seed=0) -> State:
    """The state after a way through a checkpoint: tensors by name, counters as JSON."""
    tensors = {name: array.copy() for name, array in state.tensors(r).items()}
    counters = json.loads(json.dumps(state.counters()))
    fresh = State.start(r, seed)
    fresh.restore(r, tensors, counters, "x.safetensors")
    return fresh


def numbers(events):
    """Events without their times; of epochs all metrics but the speed."""
    found = []
    for event in events:
        if isinstance(event, Step):
            found.append(event._replace(seconds=0.0))
        elif isinstance(event, Epoch):
            metrics = {name: value for name, value in event.metrics.items() if name != "examples_per_second"}
            found.append((event.step, event.epoch, metrics, event.partial, event.improved))
        else:
            found.append(event)
    return found


@pytest.mark.parametrize("case", RESUMED)
def test_a_run_interrupted_at_any_event_goes_on_with_the_same_bits(case):
    network, training = RESUMED[case]
    r = recipe(**network)
    data, held_out = examples(11, r), examples(6, r, seed=1)

    def make():
        settings = {"batch_size": 4, "epochs": 3, "best": Monitor("train/accuracy", "max"), **training}
        return spec(r, data, metrics=["accuracy"], validation=held_out, **settings)

    whole, events = trained(make())
    for stop in range(1, len(events) + 1):
        state = State.start(r, 0)
        before = []
        for event in Trainer(make(), state).run():
            before.append(event)
            if len(before) == stop:
                break
        state, after = trained(make(), saved(state, r))
        again = numbers(before + after)
        # A run that was stopped when it had ended says so once more.
        assert again[: len(events)] == numbers(events), f"interrupted after event {stop}"
        assert state.counters() | {"seconds": 0} == whole.counters() | {"seconds": 0}
        for name, array in whole.tensors(r).items():
            np.testing.assert_array_equal(state.tensors(r)[name], array, err_msg=name)


def test_a_finished_run_goes_on_with_more_epochs():
    r = recipe(DROPOUT, optimizer="adam")
    data = examples(11, r)
    whole, _ = trained(spec(r, data, epochs=5, batch_size=4))
    state, _ = trained(spec(r, data, epochs=2, batch_size=4))
    state, _ = trained(spec(r, data, epochs=5, batch_size=4), saved(state, r))
    np.testing.assert_array_equal(state.parameters, whole.parameters)


def test_a_finished_run_has_nothing_to_do():
    r = recipe()
    this = spec(r, examples(11, r), epochs=2, batch_size=4)
    state, _ = trained(this)
    before = copy.deepcopy(state.counters())
    state, events = trained(this, saved(state, r))
    assert events == []
    assert state.counters() == before


def test_an_epoch_goes_on_with_another_batch_size_where_it_was():
    """Position counts examples, so none is seen twice and none is left out."""
    r = recipe()
    data = examples(20, r)
    state, _ = trained(spec(r, data, epochs=1, batch_size=6, max_steps=2))
    assert state.position == 12
    order = spec(r, data).order(1).tolist()
    trainer = Trainer(spec(r, data, epochs=1, batch_size=5), saved(state, r))
    assert [trainer.batch.tolist() for event in trainer.run() if isinstance(event, Step)] == [order[12:17], order[17:]]


def test_metrics_that_are_added_in_the_middle_of_an_epoch_are_of_its_rest():
    r = recipe()
    data = examples(20, r)
    state, _ = trained(spec(r, data, epochs=1, batch_size=5, max_steps=2))
    state = saved(state, r)
    state, _ = trained(spec(r, data, metrics=["accuracy"], epochs=1, batch_size=5, max_steps=3), state)
    state, events = trained(spec(r, data, metrics=["accuracy"], epochs=1, batch_size=5), saved(state, r))
    rest = spec(r, data).order(1)[10:]
    right = (state.predictions[10:20].argmax(axis=1) == data.targets[rest]).mean()
    assert epochs(events)[-1].metrics["train/accuracy"] == right
    assert len(epochs(events)) == 1


def test_data_that_shrank_ends_the_epoch():
    r = recipe()
    state, _ = trained(spec(r, examples(20, r), metrics=["accuracy"], epochs=1, batch_size=5, max_steps=3))
    state, events = trained(spec(r, examples(8, r), metrics=["accuracy"], epochs=2, batch_size=5), saved(state, r))
    assert [(e.epoch, e.partial) for e in epochs(events)] == [(1, False), (2, False)]


@pytest.mark.parametrize("layers", [DENSE, DROPOUT])
def test_a_copy_at_any_event_is_the_state_there_and_training_leaves_it_alone(layers):
    """Copies take the place of earlier ones: two take turns."""
    r = recipe(layers=layers, optimizer="adam")
    made = spec(r, examples(11, r), metrics=["accuracy"], batch_size=4, epochs=3, best=Monitor("train/loss", "min"))
    state, copies, frozen = State.start(r, 0), [None, None], None
    for _ in Trainer(made, state).run():
        if frozen is not None:
            assert_equal(copies[-1], *frozen, r)
        frozen = copy.deepcopy((state.tensors(r), state.counters()))
        copies = [copies[1], state.copy(copies[0])]
        assert_equal(copies[-1], *frozen, r)
    assert state.step == 9
    assert state.has_noise == (layers is DROPOUT)


def assert_equal(state, tensors, counters, r):
    assert state.counters() == counters
    found = state.tensors(r)
    assert list(found) == list(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
