"""Parts of a batch, each computed by a worker: the step is that of the whole batch, and the same every time."""

import dataclasses

import numpy as np
import pytest
from training_support import DENSE, DROPOUT, Examples, epochs, examples, losses, recipe, spec, trained

from backprop_cli.errors import DivergenceError
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State

TOKENS, POSITIONS = 5, 3
SEQUENCE = ({"type": "dense", "units": TOKENS * POSITIONS}, {"type": "reshape", "shape": [POSITIONS, TOKENS]})
IMAGE = (
    {"type": "reshape", "shape": [1, 8, 8]},
    {"type": "conv2d", "channels": 3, "kernel": 3, "activation": "relu"},
    {"type": "max_pool", "kernel": 2},
    {"type": "flatten"},
    {"type": "dense", "units": 3},
)
FROZEN_NORM = (
    {**DENSE[0], "trainable": False},
    {"type": "batch_norm", "trainable": False},
    DENSE[1],
)


def split(this, workers=2):
    return dataclasses.replace(this, workers=workers)


def sequences(r, count=22):
    """Of which one part of a batch may count more positions than the other, or none at all."""
    data = examples(count, r)
    lengths = np.random.default_rng(1).integers(0, POSITIONS + 1, count)
    lengths[:6] = 0
    data.targets[np.arange(POSITIONS) >= lengths[:, None]] = -1
    return data


CASES = {
    "odd batches": recipe(),
    "penalties": recipe(l1=0.01, l2=0.02),
    "clipped Adam": recipe(optimizer="adam", clip_norm=0.1),
    "weights of classes and examples": recipe(class_weights=np.array([0.5, 1.0, 3.0]), weighted=True),
    "recomputed": recipe((*DENSE[:1] * 3, DENSE[1]), l2=0.1, recompute="auto"),
    "regression": recipe(loss="mean_squared_error"),
    "images": recipe(IMAGE, (64,)),
    "frozen statistics": recipe(FROZEN_NORM),
    "one dropout": recipe(DROPOUT),
    "dropout with a course": recipe((DENSE[0], {"type": "dropout", "rate": 0.4, "schedule": "linear"}, DENSE[1])),
    "tokens": recipe(SEQUENCE, loss="next_token", l2=0.1),
}


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_parts_train_as_the_whole_batch(case, workers, accumulate):
    r = dataclasses.replace(CASES[case], accumulate=accumulate > 1)
    data = sequences(r) if case == "tokens" else examples(22, r)
    if r.weighted:
        data = Examples(data.inputs, data.targets, np.linspace(0.0, 2.0, 22))
    # The last batch has one example: fewer than there are workers.
    this = spec(r, data, epochs=3, batch_size=7, accumulate=accumulate)
    (whole, told), (parts, split_told) = trained(this), trained(split(this, workers))
    np.testing.assert_allclose(parts.parameters, whole.parameters, rtol=1e-10, atol=1e-13)
    assert losses(split_told) == pytest.approx(losses(told), rel=1e-11)
    for ours, theirs in zip(epochs(split_told), epochs(told), strict=True):
        numbers = {name: value for name, value in theirs.metrics.items() if name != "examples_per_second"}
        assert {name: ours.metrics[name] for name in numbers} == pytest.approx(numbers, rel=1e-9)


def test_metrics_of_the_batches_are_those_of_their_parts():
    this = spec(recipe(), examples(22), ("accuracy", "log_loss"), epochs=2, batch_size=7)
    (_, whole), (_, parts) = trained(this), trained(split(this))
    for name in ("train/accuracy", "train/log_loss"):
        told, expected = ([epoch.metrics[name] for epoch in epochs(events)] for events in (parts, whole))
        assert told == pytest.approx(expected, rel=1e-10)


def test_the_same_bits_every_time_and_after_a_pause():
    noisy = (DENSE[0], {"type": "dropout", "rate": 0.3}, DENSE[0], {"type": "dropout", "rate": 0.2}, DENSE[1])
    this = split(spec(recipe(noisy, optimizer="adam"), examples(21), epochs=4, batch_size=6))
    first, second = trained(this)[0], trained(this)[0]
    state = State.start(this.recipe, this.seed)
    paused = iter(Trainer(this, state).run())
    for _ in range(6):
        next(paused)
    trained(this, state)
    for other in (second, state):
        np.testing.assert_array_equal(other.parameters, first.parameters)


def test_an_overflow_in_a_part_is_no_warning_but_a_divergence():
    r = recipe(DENSE[1:], loss="mean_squared_error")
    data = examples(8, r)
    data.inputs[4:] = 1e200
    this = split(spec(r, data, batch_size=8))
    with pytest.raises(DivergenceError):
        trained(this)


@pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")
def test_compiled_parts_train_as_numpy_does():
    this = split(spec(recipe(l2=0.1, optimizer="adam"), examples(21), epochs=2, batch_size=7))
    plain, compiled = trained(this)[0], trained(dataclasses.replace(this, compiled=True))[0]
    np.testing.assert_allclose(compiled.parameters, plain.parameters, rtol=1e-10)
