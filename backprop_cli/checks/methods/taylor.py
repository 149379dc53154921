"""Taylor remainders: the order at which what the derivatives leave over goes to 0."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.checks.method import HIDDEN, METHODS, ROUNDING, Method, Options, checks_of, random_direction
from backprop_cli.checks.objective import Direction, Objective, Piece, Tensor, norm
from backprop_cli.checks.result import Check, CheckedEntry
from backprop_cli.checks.rounding import EPS

_SIZES = tuple(2.0**-k for k in range(3, 31))
_ROUNDING = 4.0
_CLEAR = 250.0
"""How far above rounding a remainder must be for its rate to be right to 0.01."""
_LAST = 3
"""Rates of which the median counts: those at the smallest clear remainders, where the leading term is alone."""
_SLACK = 0.1


@METHODS.register
class Taylor(Method):
    """``|f(x + s v) - f(x) - s g v|`` falls like s^2 where the gradient g is right, like s where it is wrong.

    With the Hessian, ``- s^2 / 2 v H v``, like s^3. There is no step to choose: s goes from 1/8 down to where rounding
    begins, as long as no kink is crossed. The measured rate may be 0.1 below that, which is the tolerance.

    A gradient that is wrong by e shows where e is more than 0.08 times the curvature times the smallest s.

    Source: Farrell, Ham, Funke & Rognes, Automated Derivation of the Adjoint (2013), section 5; pyadjoint.
    """

    tolerance_of: ClassVar[str] = "the rate"
    words: ClassVar[tuple[str, str]] = ("the rate expected of the remainder", "the measured one")

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """One unit direction a tensor; ``analytic`` is the rate that is expected, ``numeric`` the measured one."""
        entries: dict[Tensor, list[CheckedEntry]] = {tensor: [] for tensor in objective.tensors}
        rng = options.rng
        for tensor in objective.tensors:
            direction = random_direction([tensor], rng, "gaussian")
            if direction and not options.is_over:
                length = norm(direction)
                v = [part._replace(vector=part.vector / length) for part in direction]
                entries[tensor].append(by_remainder(objective, v))
        return checks_of(entries, _SLACK)


def by_remainder(objective: Objective, direction: Direction) -> CheckedEntry:
    """The rate along a unit direction. ``KINK`` if kinks are too near to measure two remainders, ``TINY`` if
    rounding is larger than the term of the derivative.
    """
    base, expected = (objective, 2.0) if objective.base is None else (objective.base, 3.0)
    slope, bend = base.slope(direction), 0.0 if objective.base is None else base.bend(direction)
    found, clear, crossed = [], [], False
    for s in _SIZES:
        change = base.run(direction, s) - base.value
        if base.is_on(base.branches):
            rest, floor = abs(change - s * slope - 0.5 * s * s * bend), _floor(objective, base, direction, s)
            term = s * slope if objective.base is None else 0.5 * s * s * bend
            found.append((rest, term == 0.0 or floor <= HIDDEN * abs(term)))
            clear += [rest] if rest > floor else []
        else:
            crossed = True
    if not all(map(math.isfinite, [base.value, slope, bend, *(rest for rest, _ in found)])):
        return CheckedEntry((), expected, math.nan, "NONFINITE")
    rates = [math.log2(large / small) for large, small in pairwise(clear)]
    if rates:
        rate = max(median(rates[-_LAST:]), _limit(rates))
        return CheckedEntry((), expected, rate, "PASS" if rate >= expected - _SLACK else "FAIL")
    # Only rounding remains: the function is linear (quadratic) along v, or it cannot be decided.
    is_decided = not clear and any(decided for _, decided in found)
    return CheckedEntry((), expected, expected, "KINK" if crossed else "PASS" if is_decided else "TINY")


def _floor(objective: Objective, base: Objective, direction: Direction, s: float) -> float:
    """Rounding in the remainder at a step of s: of the function, and of the subtracted derivatives."""
    length = math.sqrt(sum(len(part.vector) for part in direction))

    def rounding(of: Objective) -> float:
        return ROUNDING * length * max(of.rounding.of_gradient[part.tensor] for part in direction)

    # A sum rounds as its terms are large, also where they cancel; the terms of a linear function are these products.
    terms = sum(float(np.abs(_at(base, part)) @ np.abs(_slope(base, part))) for part in direction)
    taken = s * rounding(base) + (0.5 * s * s * rounding(objective) if objective is not base else 0.0)
    return _CLEAR * _ROUNDING * max(base.rounding.of_scalar, EPS * terms) + taken


def _at(objective: Objective, part: Piece) -> Array:
    """The point, where a part of a direction moves it."""
    start = part.tensor.start + part.start
    return objective.point[part.tensor.source].reshape(-1)[start : start + len(part.vector)]


def _slope(objective: Objective, part: Piece) -> Array:
    """The gradient there."""
    return objective.gradient[part.tensor][part.start : part.start + len(part.vector)]


def _limit(rates: list[float]) -> float:
    """Where the rates go: the distance of each to the limit is half that of the one before.

    A small leading term comes to be alone late, its rate from below; the rate of a wrong derivative falls instead.
    """
    return 2 * rates[-1] - rates[-2] if len(rates) > 1 else rates[-1]
