"""An op as one assignment per element: all that a compiler needs to know of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from backprop_cli.autodiff.families import Elementwise
from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.comparison import OneHot
from backprop_cli.autodiff.ops.copies import Cast, Copy
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.ops.reduction import Amax, Sum
from backprop_cli.autodiff.ops.shape import Movement, Reshape
from backprop_cli.autodiff.spec import Array, spec_of
from backprop_cli.execution.kernels import scratch

_LIBRARY = re.compile(r"\b(exp|expm1|log|log1p|sin|cos|tanh)\(")


@dataclass(frozen=True)
class ElementLoop:
    """For every index: ``out[index] = expression(operands[index])``.

    ``operands`` and ``out`` are arrays of one shape, the shape of the index; broadcast axes have strides of 0. The
    expression is Python with the functions of ``math``; ``{0}``, ``{1}``, ... stand for the operands, ``{zero}`` and
    ``{one}`` for numbers of the result's precision.

    A reduction has a ``start``: ``out`` has strides of 0 along the reduced axes and is set to ``start``. Then the
    expression, which reads it as ``{out}``, is evaluated for one index after the other.
    """

    expression: str
    operands: tuple[Array, ...]
    out: Array
    start: str = ""

    @property
    def functions(self) -> frozenset[str]:
        """The functions of the C library that it calls for every element."""
        return frozenset(_LIBRARY.findall(self.expression))


@singledispatch
def element_loop(op: Op, *x: Array, out: Array) -> ElementLoop | None:
    """The op's ``eval`` as a loop over elements; None leaves the op to NumPy."""
    return None


@element_loop.register(Elementwise)
def _(op: Elementwise, *x: Array, out: Array) -> ElementLoop | None:
    if not op.expression:
        return None
    return ElementLoop(op.expression, tuple(np.broadcast_to(array, out.shape) for array in x), out)


@element_loop.register(OneHot)
def _(op: OneHot, *x: Array, out: Array) -> ElementLoop:
    """Each label against each class."""
    labels, classes = np.broadcast_arrays(x[0][..., None], np.arange(op.classes))
    return ElementLoop("{one} if {0} == {1} else {zero}", (labels, classes), out)


@element_loop.register(Movement)
def _(op: Movement, *x: Array, out: Array) -> ElementLoop | None:
    moved = op.view(x[0])
    return None if moved is None else ElementLoop("{0}", (moved,), out)


@element_loop.register(Reshape)
def _(op: Reshape, *x: Array, out: Array) -> None:
    return None  # where a reshape is no view, no strides reach its elements in order


@element_loop.register(Cast)
@element_loop.register(Copy)
def _(op: Cast | Copy, *x: Array, out: Array) -> ElementLoop:
    return ElementLoop("{0}", x, out)


@element_loop.register(Matmul)
def _(op: Matmul, *x: Array, out: Array) -> ElementLoop | None:
    """Products with a vector; products of two matrices are BLAS's."""
    a, b = x
    if a.ndim != 2 or b.ndim != 2 or min(a.shape[0], b.shape[1]) > 1:
        return None
    over = (a.shape[0], b.shape[1], a.shape[1])
    operands = np.broadcast_to(a[:, None, :], over), np.broadcast_to(b.T[None, :, :], over)
    return ElementLoop("{out} + {0} * {1}", operands, np.broadcast_to(out[:, :, None], over), start="{zero}")


@element_loop.register(Sum)
def _(op: Sum, *x: Array, out: Array) -> ElementLoop | None:
    """One addition after the other. Long sums over the first axes stay NumPy's, which are sums of blocks."""
    is_trailing = (op.ends(x[0].ndim) or (0, 1))[1] > 0
    if scratch(op, spec_of(x[0])) and not is_trailing:
        return None
    return ElementLoop("{out} + {0}", x, _repeated(op, x[0], out), start="{zero}")


@element_loop.register(Amax)
def _(op: Amax, *x: Array, out: Array) -> ElementLoop:
    """One comparison after the other; NaN stays."""
    keep = "{out} if {out} >= {0} or {out} != {out} else {0}"
    return ElementLoop(keep, x, _repeated(op, x[0], out), start="-inf")


def _repeated(op: Sum | Amax, x: Array, out: Array) -> Array:
    """``out`` in the shape of x, with strides of 0 along the reduced axes."""
    kept = tuple(1 if axis in op.axes else n for axis, n in enumerate(x.shape))
    return np.broadcast_to(out.reshape(kept), x.shape)
