"""The complex step: a derivative as the imaginary part of a program evaluated at ``x + i h t``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backprop_cli.autodiff.evaluate import compute
from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value, toposort
from backprop_cli.checks.continuation import eval_complex
from backprop_cli.errors import UsageError

STEP = 1e-20
"""Its square is negligible, and it is far from underflow; anything from 1e-200 to 1e-10 works as well."""


class ComplexStep:
    """Directional derivatives of ``outputs`` at one point: ``Im f(x + i h t) / h + O(h^2)``.

    No difference is taken, so nothing cancels: an analytic program's derivative is as exact as its value. Kinked ops
    branch on real parts, which gives the derivative that they document at the kink.

    ``feed``: as for ``evaluate``, in float64. All values at the point are kept, and a derivative recomputes only those
    that move. ``outputs`` may have any shape.

    Source: Squire & Trapp, Using Complex Variables to Estimate Derivatives of Real Functions (1998); Martins, Sturdza
    & Alonso, The Complex-Step Derivative Approximation (2003).
    Raises: UsageError, ShapeError as ``evaluate`` does.
    """

    def __init__(self, outputs: Sequence[Value], feed: Mapping[Value, Array]):
        self.outputs = list(outputs)
        self.arrays = {value: np.asarray(array) for value, array in feed.items()}
        self._order = toposort(outputs, known=self.arrays)
        with np.errstate(all="ignore"):
            for node in self._order:
                if node.op is None and node.array is None:
                    raise UsageError(f"input {node.name!r} is not fed")
                self.arrays[node] = node.array if node.op is None else compute(node.op, self._operands(node))  # type: ignore[assignment]

    def _operands(self, node: Value) -> list[Array]:
        return [self.arrays[operand] for operand in node.inputs]

    def along(self, tangents: Mapping[Value, Array]) -> list[Array]:
        """The derivative of every output along ``tangents``, given by value, as in ``transforms.jvp``."""
        steps = {value: (1j * STEP) * tangent for value, tangent in tangents.items()}
        moved = {value: self.arrays[value] + step for value, step in steps.items()}
        with np.errstate(all="ignore"):
            for node in self._order:
                if node.op is None or not node.spec.is_inexact or not any(x in moved for x in node.inputs):
                    continue  # integers stay
                out = continued(node.op, [moved.get(x, self.arrays[x]) for x in node.inputs], node.shape)
                if out.dtype.kind == "c":
                    moved[node] = out + steps[node] if node in steps else out
        still = np.zeros(())
        return [moved[x].imag / STEP if x in moved else np.broadcast_to(still, x.shape) for x in self.outputs]


def continued(op: Op, operands: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """One op on arrays, some complex. The result is complex128; steps use the real parts."""
    if op.is_step:
        return compute(op, [x.real for x in operands])
    view = op.view(operands[0]) if op.is_view else None
    if view is not None:
        return view
    out = np.empty(shape, np.complex128)
    eval_complex(op, *operands, out=out)
    return out
