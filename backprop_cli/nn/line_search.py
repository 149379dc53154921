"""A line search for a step length that meets the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

DECREASE, CURVATURE = 1e-4, 0.9
"""c1 and c2 of the Wolfe conditions: Nocedal and Wright's values for quasi-Newton methods."""
_GROWTH = 1.1, 4.0
"""Least and greatest factor by which the step grows while it is too short."""
_EDGE = 0.1
"""Share of a bracket at either end that an interpolated step avoids."""


class Trial(NamedTuple):
    """A step length with the function's value and slope there."""

    length: float
    value: float
    slope: float


Line = Callable[[float], tuple[float, float]]
"""Value and slope of a function at a step length."""


class WolfeSearch:
    """Looks for ``f(a) <= f(0) + c1 a f'(0)`` and ``|f'(a)| <= c2 |f'(0)|``; at most ``most`` evaluations.

    Source: Nocedal & Wright, Numerical Optimization (2006), algorithms 3.5 (``find``) and 3.6 (``_zoom``), with the
    cubic interpolation of equation 3.59.
    """

    def __init__(self, line: Line, value: float, slope: float, most: int):
        self._line, self._start, self._left = line, Trial(0.0, value, slope), most
        self.last = self._start
        """The latest evaluation."""

    def find(self, length: float) -> Trial | None:
        """A step that meets the conditions, starting from ``length``.

        If evaluations run out: the lowest step with enough decrease, or None.
        """
        before = self._start
        while self._left:
            trial = self._at(length)
            if self._is_too_high(trial) or (before is not self._start and trial.value >= before.value):
                return self._zoom(before, trial)
            if self._is_flat(trial):
                return trial
            if trial.slope >= 0:
                return self._zoom(trial, before)
            first, last = (factor * trial.length for factor in _GROWTH)
            before, length = trial, _interpolated(before, trial, first, last)
        return self._or_none(before)

    def _zoom(self, low: Trial, high: Trial) -> Trial | None:
        """Within a bracket: ``low`` has the lower value and decreases enough, and its slope points to ``high``."""
        while self._left:
            width = high.length - low.length
            trial = self._at(_interpolated(low, high, low.length + _EDGE * width, high.length - _EDGE * width))
            if self._is_too_high(trial) or trial.value >= low.value:
                high = trial
                continue
            if self._is_flat(trial):
                return trial
            if trial.slope * width >= 0:
                high = low
            low = trial
        return self._or_none(low)

    def _at(self, length: float) -> Trial:
        self._left -= 1
        self.last = Trial(length, *self._line(length))
        return self.last

    def _is_too_high(self, trial: Trial) -> bool:
        """No sufficient decrease; also where the value is not a number."""
        return not trial.value <= self._start.value + DECREASE * trial.length * self._start.slope

    def _is_flat(self, trial: Trial) -> bool:
        return abs(trial.slope) <= -CURVATURE * self._start.slope

    def _or_none(self, trial: Trial) -> Trial | None:
        return trial if trial.length > 0 and trial.value < self._start.value else None


def _interpolated(a: Trial, b: Trial, first: float, last: float) -> float:
    """The minimizer of the cubic through both trials, clipped to the range from ``first`` to ``last``.

    If the cubic has no minimum, the middle of the range.
    """
    low, high = min(first, last), max(first, last)
    middle = 0.5 * (low + high)
    if not all(map(math.isfinite, (*a, *b))) or a.length == b.length:
        return middle
    d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.length - b.length)
    inside = d1 * d1 - a.slope * b.slope
    if inside < 0:
        return middle
    d2 = math.copysign(math.sqrt(inside), b.length - a.length)
    divisor = b.slope - a.slope + 2.0 * d2
    if divisor == 0:
        return middle
    least = b.length - (b.length - a.length) * (b.slope + d2 - d1) / divisor
    return min(max(least, low), high)
