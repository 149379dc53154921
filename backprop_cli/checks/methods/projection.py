"""Random directions through all parameters at once, and bisection to the wrong one."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

from backprop_cli.checks.method import HIDDEN, KINDS, METHODS, Method, Options, locate, power_of_two, random_direction
from backprop_cli.checks.methods.central import Stencil, by_difference, quotient
from backprop_cli.checks.objective import Direction, Objective, Tensor, norm, unit
from backprop_cli.checks.result import Check, CheckedEntry
from backprop_cli.structs import Struct

_DIRECTIONS = 4
"""Number of directions of each kind."""
_STEPS = tuple(2.0**-k for k in (8, 10, 12, 14))
"""Candidate lengths of the step along a unit direction: 4e-3 to 6e-5."""
_MARGIN = 10.0
_SMALLER_STEPS = 3


class _Scale(Struct):
    """The length of a step, and the accuracy of its difference."""

    step: float
    noise: float


@METHODS.register
class Projection(Method):
    """Central differences along 4 directions of random signs and 4 normal ones, against the gradient's projections.

    For networks of millions of weights: two forward passes per direction cover all of them. Signs show any single wrong
    weight, and two opposite mistakes do not cancel along both kinds. The threshold is measured: 10 times the change
    between the two best of four steps, or the rounding. Above it, bisection finds the weight, first among layers, with
    two passes per half. It is named, and judged by the tolerance.

    An error shows if it is above about 1e-8 of the whole gradient's length: 1e-5 of a typical entry among a million.
    """

    tolerance_of: ClassVar[str] = "the gradient's length"

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """A check of the directions, and one for each tensor in which an entry was examined."""
        size = sum(tensor.size for tensor in objective.tensors)
        directions: list[CheckedEntry] = []
        entries: dict[Tensor, list[CheckedEntry]] = {}
        scale, rng = None, options.rng
        for kind in KINDS * _DIRECTIONS if size else ():
            direction = random_direction(objective.tensors, rng, kind)
            if options.is_over:
                break
            scale = scale or calibrated(objective, direction)
            entry = _projected(objective, direction, scale)
            if entry.verdict == "FAIL":
                tensor, found = _named(objective, direction, entry, scale, options)
                entries.setdefault(tensor, []).append(found)
                # An entry within the tolerance is no mistake.
                entry = CheckedEntry((), entry.analytic, entry.numeric, found.verdict)
            directions.append(entry)
            if entry.verdict == "FAIL":
                break
        named = [Check(t.name, t.kind, t.shape, tuple(found)) for t, found in entries.items()]
        length = objective.length
        tolerance = scale.noise / length if scale is not None and length > 0.0 else None
        return [*named, Check("random directions", "projection", (size,), tuple(directions), tolerance)]


def calibrated(objective: Objective, direction: Direction) -> _Scale:
    """The step with the smallest change of the difference, and 10 times that change or the rounding."""
    found: list[tuple[float, float]] = []
    for step in _STEPS:
        slope, is_smooth = _difference(objective, direction, step)
        if is_smooth:
            found.append((step, slope))
    rated = [
        (max(abs(slope - smaller), _rounding(objective, direction, step)), step)
        for (_, slope), (step, smaller) in pairwise(found)
    ]
    if not rated:
        return _Scale(_STEPS[-1], _MARGIN * _rounding(objective, direction, _STEPS[-1]))
    change, step = min(rated)
    return _Scale(step, _MARGIN * change)


def _rounding(objective: Objective, direction: Direction, step: float) -> float:
    return objective.rounding.of_scalar * norm(direction) / step


def _difference(objective: Objective, direction: Direction, step: float) -> tuple[float, bool]:
    """The central difference with a step of this length, and whether it crossed no kink."""
    h = power_of_two(step / norm(direction))
    slope, _, is_smooth = quotient(objective, direction, Stencil(h, objective.branches))
    return slope, is_smooth


def _smooth_difference(objective: Objective, direction: Direction, scale: _Scale) -> tuple[float, float, bool]:
    """The difference, its noise, and whether it crossed no kink, if necessary at a smaller step."""
    step = scale.step
    for _ in range(1 + _SMALLER_STEPS):
        numeric, is_smooth = _difference(objective, direction, step)
        if is_smooth:
            break
        step /= 8.0
    return numeric, scale.noise * scale.step / step, is_smooth


def _projected(objective: Objective, direction: Direction, scale: _Scale) -> CheckedEntry:
    """The projection both ways; ``FAIL`` if they differ by more than noise, ``TINY`` if noise hides both."""
    analytic = objective.slope(direction)
    numeric, noise, is_smooth = _smooth_difference(objective, direction, scale)
    if not (math.isfinite(analytic) and math.isfinite(numeric)):
        return CheckedEntry((), analytic, numeric, "NONFINITE")
    if not is_smooth:
        return CheckedEntry((), analytic, numeric, "KINK")
    if abs(analytic - numeric) > noise:
        return CheckedEntry((), analytic, numeric, "FAIL")
    is_hidden = analytic != numeric and noise > HIDDEN * objective.length
    return CheckedEntry((), analytic, numeric, "TINY" if is_hidden else "PASS")


def _named(
    objective: Objective, direction: Direction, entry: CheckedEntry, scale: _Scale, options: Options
) -> tuple[Tensor, CheckedEntry]:
    """The entry behind a difference, checked by itself."""

    def residual(along: Direction) -> float:
        return objective.slope(along) - _smooth_difference(objective, along, scale)[0]

    tensor, element = locate(residual, direction, entry.analytic - entry.numeric)
    found = by_difference(objective, unit(tensor, element), tensor.index(element), options.tolerance)
    return tensor, found
