"""Central differences in float64, entry by entry."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from backprop_cli.autodiff import Array
from backprop_cli.checks.method import METHODS, ROUNDING, Method, Options, checks_of, entrywise, power_of_two
from backprop_cli.checks.objective import Direction, Objective, Rounding
from backprop_cli.checks.result import Check, CheckedEntry, judged

CENTRAL_STEP = 6.055454452393343e-06
"""``eps^(1/3)`` for float64: balances the rounding error eps/h of a central difference with its truncation h^2."""
_SMALLER_STEPS = 3
"""How often the step is divided to avoid a kink."""
_LARGER_STEPS = 3
"""How often the step is multiplied if rounding hides a derivative."""
_FACTOR = 8.0
_LARGEST = 4.0
"""First step of an extrapolation, in units of the first difference's."""
_ROUNDING = 16.0
"""Error of a computed scalar in units of its rounding: sums of a batch and of layers lose a few bits, not digits."""
_HALVINGS = 5, 12
"""Fewest and most steps of an extrapolation, each half the previous one."""
_RESOLVED = 1e-3
"""Share of rounding in a difference above which smaller steps are useless."""
_CONVERGED = 0.1
"""Largest relative change of an extrapolated difference by further halvings."""
_MARGIN = 4.0
"""A derivative is wrong only if it differs by this many times the error of the difference."""


class Stencil(NamedTuple):
    """Points ``h`` to both sides of ``point + center direction``; ``branches``: of all kinks."""

    h: float
    branches: Sequence[Array]
    center: float = 0.0


Witness = Callable[[Direction, float], float]
"""``witness(v, t)``: another way to the derivative along v at ``point + t v``."""


@METHODS.register
class Central(Method):
    """``(f(x + h) - f(x - h)) / 2h`` with h about ``eps^(1/3) max(1, |x|)``; exact to about 1e-10.

    If a kink's branches at x - h, x and x + h differ, h shrinks; on the kink itself the gradient is checked nearby on
    both sides. If the difference is all rounding, h grows first. An entry fails only if it differs from the difference
    extrapolated to h = 0 by more than that one's error.
    """

    def check(self, objective: Objective, options: Options) -> list[Check]:
        return checks_of(
            entrywise(objective, options, lambda _, at, index: by_difference(objective, at, index, options.tolerance))
        )


def by_difference(
    objective: Objective,
    direction: Direction,
    index: tuple[int, ...],
    tolerance: float,
    witness: Witness | None = None,
) -> CheckedEntry:
    """The derivative along a direction (one element) both ways, with a verdict.

    ``witness`` decides next to a kink if differences cannot.
    """
    analytic = objective.slope(direction)
    h = power_of_two(CENTRAL_STEP * max(1.0, objective.at(direction)))
    numeric = 0.0
    for _ in range(1 + _SMALLER_STEPS):
        numeric, noise, is_smooth = quotient(objective, direction, Stencil(h, objective.branches))
        if is_smooth:
            entry = CheckedEntry(index, analytic, numeric, judged(analytic, numeric, tolerance, noise))
            if entry.verdict == "TINY":
                return _rescaled(objective, direction, entry, tolerance, h)
            if entry.verdict != "FAIL":
                return entry
            stencil = Stencil(_LARGEST * h, objective.branches)
            return _second_look(objective, direction, entry, tolerance, stencil, objective.rounding)
        h /= _FACTOR
    return _at_kink(objective, direction, CheckedEntry(index, analytic, numeric, "KINK"), tolerance, witness)


def quotient(
    objective: Objective, direction: Direction, stencil: Stencil, rounding: float | None = None
) -> tuple[float, float, bool]:
    """The central difference, its rounding noise, and whether both ends are on the given branches.

    ``rounding``: the scalar's (default: at the point).
    """
    h, branches, center = stencil
    above = objective.run(direction, center + h)
    is_smooth = objective.is_on(branches)
    below = objective.run(direction, center - h)
    is_smooth = is_smooth and objective.is_on(branches)
    noise = _ROUNDING * (objective.rounding.of_scalar if rounding is None else rounding) / (2.0 * h)
    return (above - below) / (2.0 * h), noise, is_smooth


def extrapolated(objective: Objective, direction: Direction, stencil: Stencil, rounding: float) -> tuple[float, float]:
    """The limit of the central differences with h, h/2, h/4, ... and its possible error, or NaN and infinity.

    Each row of Richardson's tableau ``D[k, j] = D[k, j-1] + (D[k, j-1] - D[k-1, j-1]) / (4^j - 1)`` ends at an
    estimate. Its error is estimated from its neighbours, from rounding, and from later rows that differ by more
    than their own rounding: they reject an estimate whose steps are longer than a bend of the function.

    Source: Ridders, Accurate Computation of F'(x) and F'(x) F''(x) (1982).
    """
    found: list[tuple[float, float, float]] = []  # estimate, difference from its neighbours, rounding
    before: list[float] = []
    least, most = _HALVINGS
    for number in range(most):
        slope, noise, is_smooth = quotient(objective, direction, stencil, rounding)
        stencil = stencil._replace(h=0.5 * stencil.h)
        if not (is_smooth and math.isfinite(slope)):
            continue
        row = [slope]
        for j, coarse in enumerate(before):
            row.append(row[j] + (row[j] - coarse) / (4.0 ** (j + 1) - 1.0))
        if before:
            found.append((row[-1], max(abs(row[-1] - row[-2]), abs(row[-1] - before[-1])), 2.0 * noise))
        before = row
        if number + 1 >= least and noise > _RESOLVED * abs(slope):
            break
    return min((_rated(found, k) for k in range(len(found))), key=itemgetter(1), default=(math.nan, math.inf))


def _rated(found: Sequence[tuple[float, float, float]], k: int) -> tuple[float, float]:
    """An estimate of ``extrapolated`` and its possible error: infinite if smaller steps still change it much."""
    estimate, gap, noise = found[k]
    bend = gap + max(0.0, *(abs(later - estimate) - room for later, _, room in found[k + 1 :]), 0.0)
    return estimate, bend + noise if bend <= max(noise, _CONVERGED * abs(estimate)) else math.inf


def _second_look(
    objective: Objective,
    direction: Direction,
    first: CheckedEntry,
    tolerance: float,
    stencil: Stencil,
    rounding: Rounding,
) -> CheckedEntry:
    """The verdict on the extrapolated difference: TINY if its own error is too large to decide."""
    numeric, error = extrapolated(objective, direction, stencil, rounding.of_scalar)
    noise = _MARGIN * error + _of_gradient(rounding, direction)
    verdict = judged(first.analytic, numeric, tolerance, noise) if error < math.inf else "TINY"
    return replace(first, numeric=numeric if error < math.inf else first.numeric, verdict=verdict)


def _of_gradient(rounding: Rounding, direction: Direction) -> float:
    return ROUNDING * max(rounding.of_gradient[part.tensor] for part in direction)


def _rescaled(
    objective: Objective, direction: Direction, tiny: CheckedEntry, tolerance: float, h: float
) -> CheckedEntry:
    """The verdict at larger steps, which have less noise.

    An entry is wrong only if the error exceeds both the noise and the change by the next larger step.
    """
    tried: list[tuple[float, float]] = []
    for _ in range(_LARGER_STEPS):
        h *= _FACTOR
        numeric, noise, is_smooth = quotient(objective, direction, Stencil(h, objective.branches))
        if not is_smooth:
            break
        if judged(tiny.analytic, numeric, tolerance, noise) == "PASS":
            return CheckedEntry(tiny.index, tiny.analytic, numeric, "PASS")
        tried.append((numeric, noise + _of_gradient(objective.rounding, direction)))
    for (numeric, noise), (larger, _) in pairwise(tried):
        if abs(tiny.analytic - numeric) > noise + abs(larger - numeric):
            return CheckedEntry(tiny.index, tiny.analytic, numeric, "FAIL")
    return tiny


def _at_kink(
    objective: Objective, direction: Direction, entry: CheckedEntry, tolerance: float, witness: Witness | None
) -> CheckedEntry:
    """Check both sides of a kink, a little away from it.

    On the kink any value between the two slopes is a derivative, and with many kinks at one point no difference shows
    the range.
    """
    if judged(entry.analytic, entry.numeric, 1.0, 0.0) == "NONFINITE":
        return CheckedEntry(entry.index, entry.analytic, entry.numeric, "NONFINITE")
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
) -> CheckedEntry | None:
    """The derivative at the nearest place next to the point where a difference can decide.

    None if kinks are everywhere, or no difference decides.
    """
    h = power_of_two(CENTRAL_STEP * max(1.0, objective.at(direction)))
    unclear: list[tuple[float, CheckedEntry]] = []
    for _ in range(1 + _SMALLER_STEPS):
        center = sign * 2.0 * h
        stencil = Stencil(h, objective.branches_at(direction, center), center)
        numeric, noise, is_smooth = quotient(objective, direction, stencil)
        if is_smooth:
            analytic = objective.slope_at(direction, center)
            entry = CheckedEntry(index, analytic, numeric, judged(analytic, numeric, tolerance, noise), True)
            if entry.verdict == "FAIL":
                rounding = objective.rounding_at(direction, center)
                entry = _second_look(objective, direction, entry, tolerance, stencil, rounding)
            if entry.verdict != "TINY":
                return entry
            unclear.append((center, entry))
        h /= _FACTOR
    if not unclear or witness is None:
        return None
    center, entry = unclear[0]
    noise = _of_gradient(objective.rounding_at(direction, center), direction)
    numeric = witness(direction, center)
    return replace(entry, numeric=numeric, verdict=judged(entry.analytic, numeric, tolerance, noise))
