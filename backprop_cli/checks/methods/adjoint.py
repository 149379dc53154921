"""The adjoint identity: forward and reverse mode are transposes of each other."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from backprop_cli.checks.method import (
    HIDDEN,
    KINDS,
    METHODS,
    ROUNDING,
    Method,
    Options,
    checks_of,
    locate,
    random_direction,
)
from backprop_cli.checks.objective import Direction, Objective, Tensor, norm, unit
from backprop_cli.checks.result import Check, CheckedEntry

TOLERANCE = 1e-12
"""Of ``|<w, J v> - <J^T w, v>|`` minus rounding, relative to ``|J^T w| |v|``; a network of a million weights has
2e-15."""


@METHODS.register
class Adjoint(Method):
    """``<w, J v> = <J^T w, v>`` along random directions through all entries of a tensor, two passes each.

    It detects any difference between forward and reverse rules, and no mistake that they share. Its tolerance is 1e-12.
    If the two differ, bisection finds the entry.
    """

    tolerance_of: ClassVar[str] = "the gradient's length"
    words: ClassVar[tuple[str, str]] = ("reverse mode's derivative", "forward mode's")

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """Two directions for each tensor; ``analytic`` is reverse mode, ``numeric`` forward mode."""
        entries: dict[Tensor, list[CheckedEntry]] = {tensor: [] for tensor in objective.tensors}
        rng = options.rng
        for tensor in objective.tensors:
            for kind in KINDS:
                direction = random_direction([tensor], rng, kind)
                if direction and not options.is_over:
                    entries[tensor].append(_entry(objective, tensor, direction))
        return checks_of(entries, TOLERANCE)


def _entry(objective: Objective, tensor: Tensor, direction: Direction) -> CheckedEntry:
    reverse, forward = objective.slope(direction), objective.forward(direction)
    if not (math.isfinite(reverse) and math.isfinite(forward)):
        return CheckedEntry((), reverse, forward, "NONFINITE")
    length, rounding = float(np.linalg.norm(objective.gradient[tensor])), objective.rounding.of_gradient[tensor]
    # An exact 0 of reverse mode has no rounding; forward mode's terms may cancel only up to the scalar's last digits.
    rounding = rounding or objective.rounding.of_scalar
    if abs(forward - reverse) <= (TOLERANCE * length + ROUNDING * rounding) * norm(direction):
        is_hidden = reverse != forward and ROUNDING * rounding > HIDDEN * length
        return CheckedEntry((), reverse, forward, "TINY" if is_hidden else "PASS")
    _, element = locate(lambda v: objective.slope(v) - objective.forward(v), direction, reverse - forward)
    along = unit(tensor, element)
    return CheckedEntry(tensor.index(element), objective.slope(along), objective.forward(along), "FAIL")
