"""Central differences in float64, entry by entry."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from backprop_cli.autodiff import Array
from backprop_cli.autodiff.numeric import CENTRAL_STEP
from backprop_cli.checks.method import METHODS, ROUNDING, Method, Options, checks_of, entrywise, power_of_two
from backprop_cli.checks.objective import Direction, Objective
from backprop_cli.checks.result import Check, Entry, Verdict, judged

_SMALLER_STEPS = 3
"""How often the step is divided to get away from a kink."""
_LARGER_STEPS = 3
"""How often it is multiplied where a derivative drowns in rounding."""
_FACTOR = 8.0
_ROUNDING = 16.0
"""Error of a computed scalar in units of its rounding: sums of a batch and of layers lose a few bits, not digits."""
_HALVINGS = 7
"""Steps of an extrapolation, each half of the one before."""
_MARGIN = 4.0
"""How many times its own error a difference must be off before it says that a derivative is wrong."""

Witness = Callable[[Direction, float], float]
"""``witness(v, t)``: another way to the derivative along v at ``point + t v``."""


@METHODS.register
class Central(Method):
    """``(f(x + h) - f(x - h)) / 2h`` with h about ``eps^(1/3) max(1, |x|)``; exact to about 1e-10.

    Where the branch of a kink at x - h, x and x + h is not the same, h is made smaller; on the kink itself the
    gradient is checked a little to both sides of it. Where the difference is all rounding, h is made larger first. No
    entry fails before its difference is extrapolated to h = 0, and differs by more than that can be off.
    """

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """Every sampled entry."""
        return checks_of(
            entrywise(objective, options, lambda _, at, index: by_difference(objective, at, index, options.tolerance))
        )


def by_difference(
    objective: Objective,
    direction: Direction,
    index: tuple[int, ...],
    tolerance: float,
    witness: Witness | None = None,
) -> Entry:
    """The derivative along a direction (one element) both ways, and what to think of it.

    ``witness`` is heard beside a kink, where differences alone cannot tell.
    """
    analytic = objective.slope(direction)
    h = power_of_two(CENTRAL_STEP * max(1.0, objective.at(direction)))
    numeric = 0.0
    for _ in range(1 + _SMALLER_STEPS):
        numeric, noise, is_smooth = quotient(objective, direction, h, objective.branches)
        if is_smooth:
            entry = Entry(index, analytic, numeric, judged(analytic, numeric, tolerance, noise))
            if entry.verdict == "TINY":
                return _rescaled(objective, direction, entry, tolerance, h)
            if entry.verdict != "FAIL":
                return entry
            rounding = objective.rounding.of_scalar
            numeric, error = extrapolated(objective, direction, 4.0 * h, objective.branches, 0.0, rounding)
            return Entry(index, analytic, numeric, _told(analytic, numeric, tolerance, error))
        h /= _FACTOR
    return _at_kink(objective, direction, Entry(index, analytic, numeric, "KINK"), tolerance, witness)


def quotient(
    objective: Objective,
    direction: Direction,
    h: float,
    branches: Sequence[Array],
    center: float = 0.0,
    rounding: float | None = None,
) -> tuple[float, float, bool]:
    """The central difference about ``point + center direction``, its rounding noise, and whether both ends are on the
    given branches. ``rounding`` is that of the scalar (default: at the point).
    """
    above = objective.run(direction, center + h)
    is_smooth = objective.is_on(branches)
    below = objective.run(direction, center - h)
    is_smooth = is_smooth and objective.is_on(branches)
    noise = _ROUNDING * (objective.rounding.of_scalar if rounding is None else rounding) / (2.0 * h)
    return (above - below) / (2.0 * h), noise, is_smooth


def extrapolated(
    objective: Objective, direction: Direction, h: float, branches: Sequence[Array], center: float, rounding: float
) -> tuple[float, float]:
    """The limit of the central differences with h, h/2, h/4, ... and how far it may be off; NaN and infinity where none
    of them is smooth.

    Of Richardson's tableau ``D[k, j] = D[k, j-1] + (D[k, j-1] - D[k-1, j-1]) / (4^j - 1)`` the entry that differs least
    from its neighbours. The error is that difference and what rounding makes.

    Source: Ridders, Accurate Computation of F'(x) and F'(x) F''(x) (1982).
    """
    best, error = math.nan, math.inf
    before: list[float] = []
    for _ in range(_HALVINGS):
        slope, noise, is_smooth = quotient(objective, direction, h, branches, center, rounding)
        h *= 0.5
        if not is_smooth:
            continue
        row = [slope]
        for j, coarse in enumerate(before):
            row.append(row[j] + (row[j] - coarse) / (4.0 ** (j + 1) - 1.0))
            gap = max(abs(row[j + 1] - row[j]), abs(row[j + 1] - coarse)) + 2.0 * noise
            if gap < error:
                best, error = row[j + 1], gap
        before = row
    return best, error


def _told(analytic: float, numeric: float, tolerance: float, error: float) -> Verdict:
    """The verdict on a difference that may be off by ``error``; TINY where that is too much to tell."""
    if error < math.inf:
        return judged(analytic, numeric, tolerance, _MARGIN * error)
    return "TINY"


def _rescaled(objective: Objective, direction: Direction, tiny: Entry, tolerance: float, h: float) -> Entry:
    """The verdict at larger steps, where there is less noise: wrong only where the error is above both noise and what
    the next larger step changes.
    """
    tried: list[tuple[float, float]] = []
    for _ in range(_LARGER_STEPS):
        h *= _FACTOR
        numeric, noise, is_smooth = quotient(objective, direction, h, objective.branches)
        if not is_smooth:
            break
        if judged(tiny.analytic, numeric, tolerance, noise) == "PASS":
            return Entry(tiny.index, tiny.analytic, numeric, "PASS")
        tried.append((numeric, noise))
    for (numeric, noise), (larger, _) in pairwise(tried):
        if abs(tiny.analytic - numeric) > noise + abs(larger - numeric):
            return Entry(tiny.index, tiny.analytic, numeric, "FAIL")
    return tiny


def _at_kink(
    objective: Objective, direction: Direction, entry: Entry, tolerance: float, witness: Witness | None
) -> Entry:
    """At a kink any value between the slopes of its sides is a derivative; many kinks at one point widen that to
    what no difference shows. So both sides are checked instead, a little away from it.
    """
    if judged(entry.analytic, entry.numeric, 1.0, 0.0) == "NONFINITE":
        return Entry(entry.index, entry.analytic, entry.numeric, "NONFINITE")
    for sign in (1.0, -1.0):
        side = _side(objective, direction, sign, entry.index, tolerance, witness)
        if side is not None and side.verdict in ("FAIL", "NONFINITE"):
            return side
    return entry


def _side(
    objective: Objective,
    direction: Direction,
    sign: float,
    index: tuple[int, ...],
    tolerance: float,
    witness: Witness | None,
) -> Entry | None:
    """The derivative beside the point: as near to it as a difference needs to be. None where there are kinks everywhere
    or nothing can be told.
    """
    h = power_of_two(CENTRAL_STEP * max(1.0, objective.at(direction)))
    unclear: list[tuple[float, float]] = []
    for _ in range(1 + _SMALLER_STEPS):
        center = sign * 2.0 * h
        beside = objective.branches_beside(direction, center)
        numeric, noise, is_smooth = quotient(objective, direction, h, beside, center)
        if is_smooth:
            analytic = objective.slope_beside(direction, center)
            verdict = judged(analytic, numeric, tolerance, noise)
            if verdict == "FAIL":
                rounding = objective.rounding_beside(direction, center).of_scalar
                numeric, error = extrapolated(objective, direction, h, beside, center, rounding)
                verdict = _told(analytic, numeric, tolerance, error)
            if verdict != "TINY":
                return Entry(index, analytic, numeric, verdict, True)
            unclear.append((analytic, center))
        h /= _FACTOR
    if not unclear or witness is None:
        return None
    analytic, center = unclear[0]
    rounding = max(objective.rounding_beside(direction, center).of_gradient[part.tensor] for part in direction)
    numeric = witness(direction, center)
    return Entry(index, analytic, numeric, judged(analytic, numeric, tolerance, ROUNDING * rounding), True)
