"""Matrix products, and rows chosen, summed or encoded by integers."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop_cli.autodiff.ops.comparison import OneHot
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.ops.rows import SumRows, TakeRows
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.execution.kernels.kernel import Call, bind, into, scratch

_FEW = 256
"""Classes up to which a one-hot row is copied from the identity matrix."""


@bind.register(Matmul)
def _(op: Matmul, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """``x.dot`` for two matrices: 0.13 us less a call than ``np.dot``, 0.5 less than ``np.matmul``."""
    if x[0].ndim == x[1].ndim == 2 and out.flags.c_contiguous:
        return partial(x[0].dot, x[1], out)
    return into(np.matmul, x[0], x[1], out=out)


@bind.register(OneHot)
def _(op: OneHot, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """Rows of the identity: 0.25 us for 64 labels of 10 classes, where comparing takes 1."""
    if op.classes > _FEW:
        return into(np.equal, x[0][..., None], np.arange(op.classes), out=out)
    # Without a check of the range ("clip") NumPy writes straight into `out`.
    return partial(np.eye(op.classes, dtype=op.dtype).take, x[0], 0, out, "clip")


@bind.register(TakeRows)
def _(op: TakeRows, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    return partial(x[0].take, x[1], 0, out, "clip")


@bind.register(SumRows)
def _(op: SumRows, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    return partial(op.sum_rows(x[1].size), *x, out, *scratch)


@scratch.register(SumRows)
def _(op: SumRows, *x: Spec) -> tuple[Spec, ...]:
    values, rows = x
    return tuple(values.with_shape(shape) for shape in op.rooms(rows.size, values.shape[-1]))
