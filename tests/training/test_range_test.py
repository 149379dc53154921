"""The learning rate range test: its rates, when it ends, what it suggests."""

import dataclasses
import math

import numpy as np
import pytest
from training_support import Examples, examples, recipe, spec

from backprop_cli.training.range_test import STEPS, RangeTest, _chosen, check_range, range_test
from backprop_cli.training.state import State

LINE = ({"type": "dense", "units": 1},)


def _line(**more):
    """Full batches of a line through the origin, and the parabola that the loss is of its two parameters."""
    x = np.linspace(-1, 1, 20)[:, None]
    r = recipe(LINE, (1,), "mean_squared_error", {"type": "sgd", "learning_rate": 0.5})
    return r, Examples(x, 3 * x), spec(r, Examples(x, 3 * x), batch_size=20, epochs=1, **more)


def _by_hand(low, high, weight):
    """Gradient descent on ``mean((w x - 3 x)^2)``; the bias stays 0."""
    squares = np.mean(np.linspace(-1, 1, 20) ** 2)
    losses = []
    for k in range(STEPS):
        losses.append(squares * (weight - 3) ** 2)
        weight -= low * (high / low) ** (k / (STEPS - 1)) * 2 * squares * (weight - 3)
    return np.array(losses)


@pytest.mark.parametrize("schedule", ["constant", {"type": "cosine", "warmup_steps": 5}])
def test_the_rates_grow_exponentially_whatever_schedule_and_epochs_are(schedule):
    r, _, training = _line(schedule=schedule, max_steps=3)
    state = State.start(r, 0)
    weight = float(r.layout.arrays(state.parameters)["dense_1.weight"].item())
    found = range_test(training, state, 1e-4, 1.0)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1.0, STEPS), rtol=1e-12)
    np.testing.assert_allclose(found.losses, _by_hand(1e-4, 1.0, weight), rtol=1e-9, atol=1e-15)
    assert (found.stopped, state.step) == ("", STEPS)


def test_the_smoothed_loss_is_the_weighted_mean_of_those_so_far():
    r, _, training = _line()
    found = range_test(training, State.start(r, 0), 1e-4, 1.0)
    for k in (0, 1, 50, STEPS - 1):
        weights = 0.9 ** np.arange(k, -1, -1)
        assert found.smoothed[k] == pytest.approx(np.average(found.losses[: k + 1], weights=weights), rel=1e-12)


def test_a_tenth_of_the_rate_where_the_loss_is_lowest_is_suggested():
    r, _, training = _line()
    found = range_test(training, State.start(r, 0), 1e-3, 100.0)
    lowest = found.rates[np.argmin(found.smoothed)]
    assert found.suggestion == float(f"{lowest / 10:.2g}")
    assert found.reason == f"a tenth of {lowest:.2g}, where the smoothed loss is lowest"
    first, last = found.smoothed[0], found.smoothed[-1]
    assert found.stopped == f"the smoothed loss is {last:.4g}, and was {first:.4g} at first"
    assert last > 2 * first >= found.smoothed[-2]
    assert len(found.rates) < STEPS


def _flat(rates, end, width):
    """A loss that falls from 1 to 0.4 until ``end``, and is then nearly flat over a factor of ``width``."""
    place = np.log10(rates / end)
    return np.where(place < 0, 0.4 + 0.6 * np.clip(-place, 0, 1), 0.4 - 0.001 * np.minimum(place, 2 * width - place))


def test_the_rate_where_a_flat_part_begins_takes_the_place_of_the_lowest():
    rates = np.geomspace(1e-5, 10, 100)
    suggested, reason = _chosen(rates, _flat(rates, 0.01, 2))
    reached = rates[np.argmax(_flat(rates, 0.01, 2) <= 0.43)]
    lowest = rates[np.argmin(_flat(rates, 0.01, 2))]
    assert 0.008 < reached < 0.011
    assert 0.8 < lowest < 1.2
    assert suggested == float(f"{reached / 10:.2g}")
    assert reason == (
        f"a tenth of {reached:.2g}, where the smoothed loss has done 95% of its fall: it is flat from there to "
        f"{lowest:.2g}"
    )


def test_a_short_flat_part_is_left_alone():
    rates = np.geomspace(1e-5, 10, 100)
    suggested, reason = _chosen(rates, _flat(rates, 0.01, 0.7))
    assert suggested > 0.003
    assert reason.endswith("where the smoothed loss is lowest")


def test_a_loss_that_falls_to_the_end_says_that_more_may_be_seen():
    r, _, training = _line()
    found = range_test(training, State.start(r, 0), 1e-3, 0.05)
    assert found.suggestion == 0.005
    assert found.reason == (
        "a tenth of 0.05, where the smoothed loss is lowest; that is the end of the range: a higher one may show more"
    )


def test_rates_that_change_nothing_suggest_nothing():
    r, _, training = _line()
    found = range_test(training, State.start(r, 0), 1e-9, 1e-7)
    reason = "the loss falls at no rate of this range; try another, or check the data and the network"
    assert (found.suggestion, found.reason) == (None, reason)


def test_a_loss_that_is_not_finite_ends_the_test():
    r, _, training = _line()
    found = range_test(training, State.start(r, 0), 1e200, 1e201)
    assert found.stopped == "the loss or a parameter is no longer finite"
    assert (found.suggestion, found.reason) == (None, "the loss is not finite from the start; begin at a lower rate")


def test_a_state_in_the_middle_of_training_is_gone_on_from():
    r = recipe()
    data = examples(50, r)
    state = State.start(r, 0)
    state.step, state.epoch, state.position = 70, 10, 20
    found = range_test(spec(r, data, batch_size=10, epochs=2), state, 1e-5, 1e-2)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-5, 1e-2, STEPS), rtol=1e-12)
    assert state.step == 70 + STEPS


def test_what_training_would_be_held_up_by_is_left_out():
    r = recipe()
    training = dataclasses.replace(spec(r, examples(50, r), ["accuracy"], batch_size=10, epochs=1), validation=object())
    assert isinstance(range_test(training, State.start(r, 0), 1e-5, 1e-2), RangeTest)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1e-7, 10.0, ""),
        (0.0, 1.0, "a learning rate is a number greater than 0"),
        (1e-3, math.inf, "a learning rate is a number greater than 0"),
        (math.nan, 1.0, "a learning rate is a number greater than 0"),
        (1.0, 1.0, "the last rate must be greater than the first"),
    ],
)
def test_ranges(low, high, text):
    assert check_range(low, high) == text
