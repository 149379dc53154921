"""Which element of a direction is wrong: by halves, first among tensors, then inside one."""

from __future__ import annotations

import math
from collections.abc import Callable

from backprop_cli.checks.objective import Direction, Part, Tensor


def locate(residual: Callable[[Direction], float], direction: Direction, total: float) -> tuple[Tensor, int]:
    """The element behind ``total``, the residual along ``direction``: log2(elements) evaluations of it.

    A residual is linear, so that of one half is the whole's without the other's; the half with more of it is gone on
    with, or the one that is not finite. Where many elements are wrong it ends at one of them.
    """
    while len(direction) > 1 or len(direction[0].vector) > 1:
        left, right = _halves(direction)
        of_left = residual(left)
        of_right = total - of_left
        is_left = not math.isfinite(of_left) or (math.isfinite(of_right) and abs(of_left) >= abs(of_right))
        direction, total = (left, of_left) if is_left else (right, of_right)
    return direction[0].tensor, direction[0].start


def _halves(direction: Direction) -> tuple[Direction, Direction]:
    if len(direction) > 1:
        middle = len(direction) // 2
        return direction[:middle], direction[middle:]
    (part,) = direction
    middle = len(part.vector) // 2
    return (
        [part._replace(vector=part.vector[:middle])],
        [Part(part.tensor, part.start + middle, part.vector[middle:])],
    )
