"""Softmax: the steps of its ``eval`` as calls, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from backprop_cli.autodiff.ops.softmax import Softmax
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.execution.kernels.kernel import Call, Calls, bind, copied, in_turn, into, runs_in_place, scratch
from backprop_cli.execution.kernels.reduction_kernels import NARROW


@runs_in_place.register(Softmax)
def _(op: Softmax) -> bool:
    return True


@scratch.register(Softmax)
def _(op: Softmax, *x: Spec) -> tuple[Spec, ...]:
    """A number a row, and the transpose of a narrow x."""
    width = x[0].shape[-1]
    rows = x[0].size // width
    column = x[0].with_shape((rows, 1))
    return (column, x[0].with_shape((width, rows))) if width <= NARROW else (column,)


@bind.register(Softmax)
def _(op: Softmax, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    calls: Calls = []
    given = x[0]
    if not given.flags.c_contiguous:
        calls.append(partial(np.copyto, out, given))
        given = out
    for piece in op.pieces(given, out):
        if piece.mask is None:
            calls += _normalized(piece.x, piece.rows, scratch)
        else:
            calls.append(into(np.add, piece.x, piece.mask, out=piece.out))
            calls += _normalized(piece.rows, piece.rows, scratch)
        if piece.blank is not None:
            calls.append(partial(piece.blank.fill, 0.0))
    return in_turn(calls)


def _normalized(x: Array, out: Array, scratch: tuple[Array, ...]) -> Iterator[Call]:
    """The softmax of rows."""
    rows, width = x.shape
    column = scratch[0][:rows]
    if len(scratch) > 1:
        turned = scratch[1].reshape(-1)[: x.size].reshape(width, rows)
        yield copied(x.T, out=turned)
        yield partial(np.maximum.reduce, turned, 0, None, column[:, 0])
    else:
        yield partial(np.maximum.reduce, x, 1, None, column, True)
    yield into(np.subtract, x, column, out=out)
    yield into(np.exp, out, out=out)
    yield into(np.matmul, out, np.ones((width, 1), x.dtype), out=column)
    yield into(np.divide, out, column, out=out)
