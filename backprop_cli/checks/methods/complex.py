"""The complex step, at sampled entries and along random directions through all entries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backprop_cli.checks.method import (
    KINDS,
    METHODS,
    ROUNDING,
    Method,
    Options,
    checks_of,
    entrywise,
    locate,
    random_direction,
)
from backprop_cli.checks.objective import Direction, Objective, Tensor
from backprop_cli.checks.result import Check, CheckedEntry, judged

_DIRECTION_ROUNDING = 1e-12
"""Error of a derivative along a direction of unit variance, relative to |gradient|: 1e-15 with a million weights."""


@METHODS.register
class Complex(Method):
    """``Im f(x + ih) / h`` with h = 1e-20: nothing cancels, so it is as exact as the function.

    In addition every tensor is checked along two random directions through all its entries; if one differs, bisection
    finds the entry. At a kink the result is the derivative that the op documents.
    """

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """Sampled entries, and entries found by directions."""

        def judge(tensor: Tensor, direction: Direction, index: tuple[int, ...]) -> CheckedEntry:
            return by_complex_step(objective, tensor, direction, index, options.tolerance)

        suspects = differing(objective, options, objective.slope, objective.complex)
        entries = entrywise(objective, options, judge, suspects)
        return checks_of(entries)


def by_complex_step(
    objective: Objective, tensor: Tensor, direction: Direction, index: tuple[int, ...], tolerance: float
) -> CheckedEntry:
    """The derivative along a direction (one element) both ways, with a verdict."""
    analytic, numeric = objective.slope(direction), objective.complex(direction)
    noise = ROUNDING * objective.rounding.of_gradient[tensor]
    return CheckedEntry(index, analytic, numeric, judged(analytic, numeric, tolerance, noise))


Slope = Callable[[Direction], float]


def differing(objective: Objective, options: Options, one: Slope, other: Slope) -> list[tuple[Tensor, int]]:
    """Elements in which two linear ways to the derivative differ: at most one per tensor and random direction."""
    found, rng = [], options.rng
    for tensor in objective.tensors:
        gradient, rounding = objective.gradient[tensor], objective.rounding.of_gradient[tensor]
        size = _DIRECTION_ROUNDING * float(np.linalg.norm(gradient)) + ROUNDING * rounding * tensor.size**0.5
        for kind in KINDS:
            direction = random_direction([tensor], rng, kind)
            if options.is_over or not direction:
                continue

            def residual(along: Direction) -> float:
                return one(along) - other(along)

            gap = residual(direction)
            if not abs(gap) <= size:
                found.append(locate(residual, direction, gap))
    return list(dict.fromkeys(found))
