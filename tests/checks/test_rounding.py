"""Rounding is estimated where it is: in the large numbers that a small difference is made of."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.checks.rounding import EPS, jittered


def spread(traced, at):
    x = ad.input_("x", np.shape(at))
    out, feed = traced(x), {x: np.asarray(at, float)}
    rng = np.random.default_rng(0)
    (value,) = ad.evaluate([out], feed)
    return max(float(np.max(np.abs(jittered([out], feed, rng)[0] - value))) for _ in range(5))


def test_a_result_moves_by_its_last_digits():
    assert EPS / 2 <= spread(ad.exp, 0.0) <= 4 * EPS


def test_cancellation_shows():
    """1 + 1e-14 keeps two digits of the 1e-14: ln(1 + x) by the logarithm has its rounding, by log1p it has not."""
    assert spread(lambda x: ad.log(1.0 + x), 1e-14) > 0.9 * EPS
    assert spread(ad.log1p, 1e-14) < 1e-3 * EPS


@pytest.mark.parametrize("traced", [ad.relu, ad.absolute, lambda x: ad.sum(ad.greater(x, 0.0)), lambda x: x.T])
def test_kinks_steps_and_views_are_left_alone(traced):
    assert spread(traced, [[0.0, 1.0]]) <= 4 * EPS * (traced is not ad.relu)


def test_equals_stay_equal():
    """The share of the largest is found by comparing it with its source."""
    x = ad.input_("x", (3,))
    (gradient,) = ad.gradients(ad.amax(x * x), [x])
    (found,) = jittered([gradient], {x: np.array([1.0, 3.0, 2.0])}, np.random.default_rng(0))
    np.testing.assert_allclose(found, [0.0, 6.0, 0.0], rtol=1e-14)


def test_the_same_generator_gives_the_same_numbers():
    x = ad.input_("x", (3,))
    once, again = (jittered([ad.exp(x)], {x: np.ones(3)}, np.random.default_rng(1))[0] for _ in range(2))
    np.testing.assert_array_equal(once, again)
