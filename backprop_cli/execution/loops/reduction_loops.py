"""Sums and maxima over axes, and the softmax of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from backprop_cli.autodiff.ops.reduction import Amax, Sum
from backprop_cli.autodiff.ops.softmax import Softmax
from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.loops.element_loop import LARGER, ElementLoop, element_loops
from backprop_cli.execution.loops.movement_loops import copied

Loops = tuple[ElementLoop, ...]

ABREAST = 8
"""Elements that one expression adds or compares: they wait for each other in three steps, not in eight."""
_LONG = 1024
"""Most numbers that are added without blocks."""
_BLOCK = 64
"""Rows of a block."""


@element_loops.register(Sum)
def _(op: Sum, *x: Array, out: Array) -> Loops:
    """In double precision if the last axis is summed; over the first axes row by row, long sums in blocks of rows."""
    (array,), (first, last) = x, op.ends(x[0].ndim) or (0, 0)
    into = _repeated(op, array, out)
    added = math.prod(n for axis, n in enumerate(array.shape) if axis in op.axes)
    if first and not last and first < array.ndim and array.flags.c_contiguous and array.size:
        return tuple(_row_sums(array.reshape(added, -1), out.reshape(-1), _LONG))
    if added <= _LONG or not any(into.strides[-1:]):
        return (ElementLoop("{out} + {0}", x, into, start="{zero}"),)
    total = np.empty(out.shape, np.float64 if out.dtype.kind == "f" else out.dtype)
    return ElementLoop("{out} + {0}", x, _repeated(op, array, total), start="{zero}"), copied(total, out)


def _row_sums(x: Array, out: Array, few: int) -> Iterator[ElementLoop]:
    """``out[j] = sum of x[:, j]``: eight rows at a time; of more than a few rows, blocks first, then their sums."""
    count, columns = x.shape
    if count <= few:
        yield from _added(x, out)
        return
    blocks = count // _BLOCK
    whole = blocks * _BLOCK
    sums = np.empty((blocks + (whole < count), columns), x.dtype)
    yield from _added(x[:whole].reshape(blocks, _BLOCK, columns), sums[:blocks])
    if whole < count:
        yield from _added(x[whole:], sums[blocks])
    yield from _row_sums(sums, out, _BLOCK)


def _added(x: Array, out: Array) -> Iterator[ElementLoop]:
    """``out[..., j] = sum of x[..., :, j]``."""
    whole = x.shape[-2] // ABREAST * ABREAST
    start = "{zero}"
    if whole:
        rows = tuple(x[..., k:whole:ABREAST, :] for k in range(ABREAST))
        yield ElementLoop(f"{{out}} + {_paired('({a} + {b})', ABREAST)}", rows, _column(out, rows[0]), start)
        start = ""
    if whole < x.shape[-2] or not whole:
        rest = x[..., whole:, :]
        yield ElementLoop("{out} + {0}", (rest,), _column(out, rest), start)


def _column(out: Array, like: Array) -> Array:
    return np.broadcast_to(out[..., None, :], like.shape)


def _paired(pair: str, count: int) -> str:
    """``count`` operands joined in pairs, then the pairs in pairs."""
    terms = [f"{{{k}}}" for k in range(count)]
    while len(terms) > 1:
        terms = [pair.format(a=a, b=b) for a, b in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]


@element_loops.register(Amax)
def _(op: Amax, *x: Array, out: Array) -> Loops:
    """One comparison after the other; NaN stays."""
    return (ElementLoop(LARGER, x, _repeated(op, x[0], out), start="-inf"),)


def _repeated(op: Sum | Amax, x: Array, out: Array) -> Array:
    """``out`` in the shape of x, with strides of 0 along the reduced axes."""
    kept = tuple(1 if axis in op.axes else n for axis, n in enumerate(x.shape))
    return np.broadcast_to(out.reshape(kept), x.shape)


@element_loops.register(Softmax)
def _(op: Softmax, *x: Array, out: Array) -> Loops:
    """Largest entry, exponentials, their sum, quotients. Where ``causal``, entries past the diagonal have no effect."""
    largest, total = (np.empty((*out.shape[:-1], 1), out.dtype) for _ in range(2))
    each_largest, each_total = (np.broadcast_to(column, out.shape) for column in (largest, total))
    # NaN may get lost in the comparison; it comes back with the sum.
    maximum, exponential = "{0} if {0} > {out} else {out}", "exp({0} - {1})"
    places: tuple[Array, ...] = ()
    if op.causal:
        counted = np.arange(out.shape[-1], dtype=out.dtype)
        places = np.broadcast_to(counted, out.shape), np.broadcast_to(counted[:, None], out.shape)
        maximum, exponential = (
            f"({maximum}) if {{1}} <= {{2}} else {{out}}",
            f"{exponential} if {{2}} <= {{3}} else {{zero}}",
        )
    return (
        ElementLoop(maximum, (*x, *places), each_largest, start="-inf"),
        ElementLoop(exponential, (*x, each_largest, *places), out),
        ElementLoop("{out} + {0}", (out,), each_total, start="{zero}"),
        ElementLoop("{0} / {1}", (out, each_total), out),
    )
