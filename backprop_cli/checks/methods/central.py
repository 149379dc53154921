"""Central differences in float64, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from backprop_cli.autodiff import Array
from backprop_cli.autodiff.numeric import CENTRAL_STEP
from backprop_cli.checks.method import METHODS, Method, Options, checks_of, entrywise, power_of_two
from backprop_cli.checks.objective import Direction, Objective
from backprop_cli.checks.result import Check, Entry, judged

_SMALLER_STEPS = 3
"""How often the step is divided to get away from a kink."""
_LARGER_STEPS = 3
"""How often it is multiplied where a derivative drowns in rounding."""
_FACTOR = 8.0
_ROUNDING = 16.0
"""Error of a computed scalar in units of its rounding: sums of a batch and of layers lose a few bits, not digits."""


@METHODS.register
class Central(Method):
    """``(f(x + h) - f(x - h)) / 2h`` with h about ``eps^(1/3) max(1, |x|)``; exact to about 1e-10.

    Where the branch of a kink at x - h, x and x + h is not the same, h is made smaller; on the kink itself the
    gradient is checked a little to both sides of it. Where the difference is all rounding, h is made larger first, and
    before an entry fails its error of order h^2 is taken out.
    """

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """Every sampled entry."""
        return checks_of(
            entrywise(objective, options, lambda _, at, index: by_difference(objective, at, index, options.tolerance))
        )


def by_difference(objective: Objective, direction: Direction, index: tuple[int, ...], tolerance: float) -> Entry:
    """The derivative along a direction (one element) both ways, and what to think of it."""
    analytic = objective.slope(direction)
    h = power_of_two(CENTRAL_STEP * max(1.0, objective.at(direction)))
    numeric = 0.0
    for _ in range(1 + _SMALLER_STEPS):
        numeric, noise, is_smooth = quotient(objective, direction, h, objective.branches)
        if is_smooth:
            entry = Entry(index, analytic, numeric, judged(analytic, numeric, tolerance, noise))
            if entry.verdict == "TINY":
                return _rescaled(objective, direction, entry, tolerance, h)
            return _extrapolated(objective, direction, entry, tolerance, h) if entry.verdict == "FAIL" else entry
        h /= _FACTOR
    return _at_kink(objective, direction, Entry(index, analytic, numeric, "KINK"), tolerance)


def quotient(
    objective: Objective, direction: Direction, h: float, branches: Sequence[Array], center: float = 0.0
) -> tuple[float, float, bool]:
    """The central difference about ``point + center direction``, its rounding noise, and whether both ends are on the
    given branches.
    """
    above = objective.run(direction, center + h)
    is_smooth = objective.is_on(branches)
    below = objective.run(direction, center - h)
    is_smooth = is_smooth and objective.is_on(branches)
    noise = _ROUNDING * objective.rounding[0] / (2.0 * h)
    return (above - below) / (2.0 * h), noise, is_smooth


def _extrapolated(objective: Objective, direction: Direction, failed: Entry, tolerance: float, h: float) -> Entry:
    """A second look before an entry is called wrong: without the error of order h^2, which a small derivative beside a
    large third one does not drown. Richardson: ``(4 D(h) - D(2h)) / 3``.
    """
    for small in (h, 0.5 * h):
        fine, noise, is_smooth = quotient(objective, direction, small, objective.branches)
        coarse, _, is_smooth_too = quotient(objective, direction, 2.0 * small, objective.branches)
        if is_smooth and is_smooth_too:
            numeric = (4.0 * fine - coarse) / 3.0
            verdict = judged(failed.analytic, numeric, tolerance, 2.0 * noise)
            return Entry(failed.index, failed.analytic, numeric, verdict)
    return failed


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


def _at_kink(objective: Objective, direction: Direction, entry: Entry, tolerance: float) -> Entry:
    """At a kink any value between the slopes of its sides is a derivative; many kinks at one point widen that to
    what no difference shows. So both sides are checked instead, a little away from it.
    """
    if judged(entry.analytic, entry.numeric, 1.0, 0.0) == "NONFINITE":
        return Entry(entry.index, entry.analytic, entry.numeric, "NONFINITE")
    for sign in (1.0, -1.0):
        side = _side(objective, direction, sign, entry.index, tolerance)
        if side is not None and side.verdict in ("FAIL", "NONFINITE"):
            return side
    return entry


def _side(
    objective: Objective, direction: Direction, sign: float, index: tuple[int, ...], tolerance: float
) -> Entry | None:
    """The derivative beside the point; None where there are kinks everywhere."""
    h = power_of_two(CENTRAL_STEP * max(1.0, objective.at(direction)))
    for _ in range(1 + _SMALLER_STEPS):
        center = sign * 2.0 * h
        beside = objective.branches_beside(direction, center)
        numeric, noise, is_smooth = quotient(objective, direction, h, beside, center)
        if is_smooth:
            analytic = objective.slope_beside(direction, center)
            return Entry(index, analytic, numeric, judged(analytic, numeric, tolerance, noise), True)
        h /= _FACTOR
    return None
