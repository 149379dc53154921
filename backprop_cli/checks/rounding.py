"""Estimate rounding: run the program again with every result moved by its last digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backprop_cli.autodiff.evaluate import compute, evaluate
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value, toposort
from backprop_cli.execution.costs import flops

EPS = 2.0**-52
"""Distance from 1 to the next number of float64."""


def jittered(outputs: Sequence[Value], feed: Mapping[Value, Array], rng: np.random.Generator) -> list[Array]:
    """The arrays of ``outputs`` if every float64 result of an op is multiplied by ``1 +- eps``, with random signs.

    Numbers that move this way also move by the machine's own rounding, for example a small difference of large numbers.
    Results of kinked ops do not move, and steps keep their values at ``feed``: which of two equal numbers is larger is
    not rounding, and a point on a kink stays on its branch.

    Source: Monte Carlo arithmetic, Parker (1997).
    """
    order = toposort(outputs, known=feed)
    steps = [node for node in order if node.op is not None and node.op.is_step]
    with np.errstate(all="ignore"):
        arrays: dict[Value, Array] = {**feed, **dict(zip(steps, evaluate(steps, feed), strict=True))}
        for node in order:
            if node in arrays:
                continue
            if node.op is None:
                assert node.array is not None
                arrays[node] = node.array
                continue
            operands = [arrays[operand] for operand in node.inputs]
            out = compute(node.op, operands)
            computed = node.op.is_smooth and flops(node.op, *(x.spec for x in node.inputs)) > 0
            if computed and out.dtype == np.float64:
                out = out * (1.0 + EPS * rng.choice([-1.0, 1.0], out.shape))
            arrays[node] = out
    return [arrays[output] for output in outputs]
