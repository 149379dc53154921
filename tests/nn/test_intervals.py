"""Split conformal intervals and sets, and the metrics of calibration."""

import math

import numpy as np
import pytest

from backprop_cli.nn.intervals import Intervals, fewest
from backprop_cli.nn.metric import Predictions
from backprop_cli.nn.metrics.coverage import Coverage
from backprop_cli.nn.metrics.expected_calibration_error import ExpectedCalibrationError
from backprop_cli.nn.task import BINARY, CLASSES, REGRESSION


def test_the_interval_reaches_as_far_as_the_residual_of_its_rank():
    """Of 19 residuals 1 to 19, and 101 to 119, the 18th smallest: ceil(20 * 0.9)."""
    targets = np.zeros((19, 2))
    predicted = np.arange(1.0, 20)[::-1, None] * [1, -1] + [0, -100]
    found = Intervals.fit(0.9, REGRESSION, predicted, targets)
    assert found.largest.tolist() == [18, 118]
    low, high = found.bounds(np.array([[5.0, 7.0]]))
    assert (low.tolist(), high.tolist()) == ([[-13, -111]], [[23, 125]])


@pytest.mark.parametrize(("level", "rows"), [(0.9, 9), (0.5, 1), (0.95, 19), (0.99, 99), (0.8, 4)])
def test_the_fewest_rows_of_a_finite_interval(level, rows):
    assert fewest(level) == rows
    for count in (rows, rows - 1):
        found = Intervals.fit(level, REGRESSION, np.ones((count, 1)), np.zeros((count, 1)))
        assert found.largest[0] == (1 if count == rows else math.inf)


def test_a_set_has_the_classes_that_are_probable_enough():
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    found = Intervals.fit(0.5, CLASSES, probs, np.array([0, 2, 1, 2]))  # scores 0.3, 0.4, 0.7, 0.4; the third of four
    assert found.largest == pytest.approx([0.4])
    rows = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]])
    assert found.sets(CLASSES, rows).tolist() == [[True, False, False], [True, False, False]]
    wide = Intervals(0.9, np.array([0.7]))
    assert wide.sets(CLASSES, rows).tolist() == [[True, False, False], [True, True, False]]
    assert wide.holds(CLASSES, rows, np.array([1, 1])).tolist() == [[False], [True]]


def test_sets_of_binary_targets():
    probs = np.array([[0.9, 0.4], [0.2, 0.55]])
    found = Intervals(0.8, np.array([0.5, 0.6]))
    assert found.sets(BINARY, probs).tolist() == [[[False, True], [True, True]], [[True, False], [True, True]]]
    assert found.holds(BINARY, probs, np.array([[0.0, 0], [0, 1]])).tolist() == [[False, True], [True, True]]
    fitted = Intervals.fit(0.5, BINARY, np.array([[0.9], [0.4], [0.2]]), np.array([[1.0], [1], [0]]))
    assert fitted.largest == pytest.approx([0.2])


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_new_truths_are_inside_as_often_as_promised(level):
    """The average over 400 draws of 60 held-out and 100 new numbers is level to level + 1 / 61."""
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        noise = rng.standard_t(3, (160, 1))
        fitted = Intervals.fit(level, REGRESSION, noise[:60], np.zeros((60, 1)))
        found.append(fitted.holds(REGRESSION, noise[60:], np.zeros((100, 1))).mean())
    assert level - 0.006 < np.mean(found) < level + 1 / 61 + 0.006


def test_coverage_of_intervals_and_of_quantiles():
    targets = np.array([[0.0], [2.0], [5.0], [1.0]])
    shown = Predictions(REGRESSION, np.ones((4, 1)), targets, intervals=Intervals(0.9, np.array([1.0])))
    assert Coverage().compute(shown) == 0.75
    quantiles = Predictions(REGRESSION, np.tile([0.5, 1.0, 2.0], (4, 1)), targets, levels=(0.1, 0.5, 0.9))
    assert Coverage().compute(quantiles) == 0.5
    assert Coverage().is_defined(quantiles)
    plain = Predictions(REGRESSION, np.ones((4, 1)), targets)
    assert not Coverage().is_defined(plain)
    assert math.isnan(Coverage().compute(plain))


def test_expected_calibration_error_by_hand():
    """Confidences 0.95 and 0.92 (right, wrong) share a bin of ten, 0.55 (right) has its own."""
    probs = np.array([[0.95, 0.05], [0.92, 0.08], [0.45, 0.55]])
    shown = Predictions(CLASSES, probs, np.array([0, 1, 1]))
    expected = (abs(1 - 0.95 - 0.92) + abs(1 - 0.55)) / 3
    assert ExpectedCalibrationError(bins=10).compute(shown) == pytest.approx(expected)
    binary = Predictions(BINARY, probs[:, 1:], np.array([[0.0], [1.0], [1.0]]))
    assert ExpectedCalibrationError(bins=10).compute(binary) == pytest.approx(expected)
