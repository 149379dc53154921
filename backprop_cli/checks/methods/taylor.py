"""Taylor remainders, and the order at which they go to 0."""

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
"""How far above rounding a remainder must be for a rate accurate to 0.01."""
_LAST = 3
"""Number of rates whose median counts: at the smallest clear remainders, where the leading term dominates."""
_SLACK = 0.1


@METHODS.register
class Taylor(Method):
    """``|f(x + s v) - f(x) - s g v|`` falls like ``s^2`` if the gradient g is right, and like ``s`` if it is wrong.

    With the Hessian term ``- s^2 / 2 v H v`` it falls like ``s^3``. No step must be chosen: s goes from 1/8 down to the
    level of rounding, as long as it crosses no kink. The measured rate may be 0.1 lower, which is the tolerance.

    An error e of the gradient shows if it exceeds 0.08 times the curvature times the smallest s.

    Source: Farrell, Ham, Funke & Rognes, Automated Derivation of the Adjoint (2013), section 5; pyadjoint.
    """

    tolerance_of: ClassVar[str] = "the rate"
    words: ClassVar[tuple[str, str]] = ("the rate expected of the remainder", "the measured one")

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """One unit direction for each tensor; ``analytic`` is the expected rate, ``numeric`` the measured one."""
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
    """The rate along a unit direction.

    ``KINK`` if kinks are too near to measure two remainders, ``TINY`` if rounding exceeds the derivative's term.
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
    # Only rounding remains: the function is linear (quadratic) along v, or the case is undecided.
    is_decided = not clear and any(decided for _, decided in found)
    return CheckedEntry((), expected, expected, "KINK" if crossed else "PASS" if is_decided else "TINY")


def _floor(objective: Objective, base: Objective, direction: Direction, s: float) -> float:
    """Rounding of the remainder at step s: the function's, and that of the subtracted terms."""
    length = math.sqrt(sum(len(part.vector) for part in direction))

    def rounding(of: Objective) -> float:
        return ROUNDING * length * max(of.rounding.of_gradient[part.tensor] for part in direction)

    # A sum rounds like its largest terms, even if they cancel; the terms of a linear function are these products.
    terms = sum(float(np.abs(_at(base, part)) @ np.abs(_slope(base, part))) for part in direction)
    taken = s * rounding(base) + (0.5 * s * s * rounding(objective) if objective is not base else 0.0)
    return _CLEAR * _ROUNDING * max(base.rounding.of_scalar, EPS * terms) + taken


def _at(objective: Objective, part: Piece) -> Array:
    """The entries of the point that a piece moves."""
    start = part.tensor.start + part.start
    return objective.point[part.tensor.source].reshape(-1)[start : start + len(part.vector)]


def _slope(objective: Objective, part: Piece) -> Array:
    """The gradient of the entries that a piece moves."""
    return objective.gradient[part.tensor][part.start : part.start + len(part.vector)]


def _limit(rates: list[float]) -> float:
    """The limit of the rates; each halves the distance to it.

    A small leading term dominates late, and its rate rises to the limit. The rate of a wrong derivative falls instead.
    """
    return 2 * rates[-1] - rates[-2] if len(rates) > 1 else rates[-1]
