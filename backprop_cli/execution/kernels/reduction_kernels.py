"""Sums and maxima over axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from backprop_cli.autodiff.ops.reduction import Amax, Sum
from backprop_cli.autodiff.ops.row_sums import BLOCK, rows_of_blocks
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.execution.kernels.kernel import Call, Calls, bind, copied, in_turn, scratch

NARROW = 32
"""Columns up to which the maxima of rows are found faster in the transpose: 3.5 us against 24 for 512 x 10."""


@scratch.register(Sum)
def _(op: Sum, *x: Spec) -> tuple[Spec, ...]:
    """The sums over the last axes if the first ones are summed as well, and the sums of blocks of rows."""
    ends = op.ends(x[0].ndim)
    if not x[0].is_inexact or ends is None or (ends[1] and not ends[0]):
        return ()
    first, last = ends
    inner = x[0].with_shape(x[0].shape[: x[0].ndim - last])
    count = math.prod(inner.shape[:first])
    columns = inner.size // max(count, 1)
    blocks = (x[0].with_shape((rows, columns)) for rows in rows_of_blocks(count, columns))
    return (*[inner] * bool(last), *blocks)


@bind.register(Sum)
def _(op: Sum, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """The products with ones of ``Sum.eval``, or NumPy's reduction.

    On a small batch a product takes 0.4 us, ``np.add.reduce`` 1 to 3. On 128 x 512 numbers a product takes a third to a
    fifth of the time, on 128 x 32 x 14 x 14 numbers, all but the second axis, an eighth.
    """
    (array,), ends = x, op.ends(x[0].ndim)
    contiguous = array.flags.c_contiguous and out.flags.c_contiguous
    if ends is None or not (array.dtype.kind == "f" and contiguous and array.size):
        return partial(np.add.reduce, array, op.axes, None, out, op.keepdims)
    first, last = ends
    calls: Calls = []
    if last:
        inner, *rooms = (*scratch, out)
        matrix = array.reshape(-1, math.prod(array.shape[array.ndim - last :]))
        calls.append(partial(matrix.dot, np.ones(matrix.shape[1], array.dtype), inner.reshape(-1)))
        if not first:
            return calls[0]
        array, scratch = inner, tuple(rooms[:-1])
    rows = array.reshape(math.prod(array.shape[:first]), -1)
    return in_turn([*calls, *_row_sums(rows, out.reshape(-1), scratch)])


def _row_sums(x: Array, out: Array, rooms: Sequence[Array]) -> Iterator[Call]:
    """The calls of ``row_sums``; ``rooms`` hold the sums of blocks."""
    for room in rooms:
        blocks = len(x) // BLOCK
        whole = blocks * BLOCK
        ones = np.ones(BLOCK, x.dtype)
        yield partial(ones.dot, x[:whole].reshape(BLOCK, -1), room[:blocks].reshape(-1))
        if len(room) > blocks:
            yield partial(ones[: len(x) - whole].dot, x[whole:], room[-1])
        x = room
    yield partial(np.ones(len(x), x.dtype).dot, x, out)


@scratch.register(Amax)
def _(op: Amax, *x: Spec) -> tuple[Spec, ...]:
    """The transpose of a narrow matrix whose rows are reduced."""
    is_narrow = x[0].ndim == 2 and op.axes == (1,) and x[0].shape[1] <= NARROW
    return (x[0].with_shape(x[0].shape[::-1]),) if is_narrow else ()


@bind.register(Amax)
def _(op: Amax, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """A few numbers a row are transposed first: 1.4 us against 6 for 64 x 10."""
    if not scratch:
        return partial(np.maximum.reduce, x[0], op.axes, None, out, op.keepdims)
    (turned,) = scratch
    reduce = partial(np.maximum.reduce, turned, 0, None, out.reshape(-1))
    return in_turn([copied(x[0].T, out=turned), reduce])
