"""Ops as plain loops, in the small part of Python that ``codegen`` writes, one function for each type of op.

These are the ops that no portable nest takes: they are more than one loop over their operands. Elements are visited
in the order of the result, so that a compiler can vectorize the innermost loop where the operands allow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import numpy as np

from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.comparison import OneHot
from backprop_cli.autodiff.ops.convolution import Convolution, ConvolutionOp
from backprop_cli.autodiff.ops.copies import Copy
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.ops.pieces import Concat, Pad
from backprop_cli.autodiff.ops.pooling import (
    MaxPool,
    MaxPoolOffset,
    Windowed,
    WindowPut,
    WindowSpread,
    WindowSum,
    WindowTake,
)
from backprop_cli.autodiff.ops.reduction import Sum
from backprop_cli.autodiff.ops.rows import SumRows, TakeRows
from backprop_cli.autodiff.ops.softmax import Softmax
from backprop_cli.autodiff.spec import Array
from backprop_cli.errors import UsageError
from backprop_cli.exporting.c.loop_writer import LoopWriter


@singledispatch
def write_op(op: Op, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    """Write ``out = op(*x)``. Raises: UsageError for an op that has no loops."""
    raise UsageError(f"the op {op.kind} has no form in C")


@write_op.register(OneHot)
def _(op: OneHot, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    kind = out.dtype.name
    with to.loops(out.shape) as (*places, k):
        to.set(to.element(out, *places, k), f"{kind}(1.0) if {to.element(x[0], *places)} == {k} else {kind}(0.0)")


# Copies


def _copy(to: LoopWriter, x: Array, out: Array) -> None:
    with to.over(out, x) as (result, operand):
        to.set(result, operand)


@write_op.register(Copy)
def _(op: Copy, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    _copy(to, x[0], out)


@write_op.register(Concat)
def _(op: Concat, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    start = 0
    for array in x:
        stop = start + array.shape[op.axis]
        _copy(to, array, out[(*(slice(None),) * op.axis, slice(start, stop))])
        start = stop


@write_op.register(Pad)
def _(op: Pad, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    to.fill(out)
    _copy(to, x[0], out[(*(slice(None),) * op.axis, slice(op.before, op.before + x[0].shape[op.axis]))])


# Sums


@write_op.register(Matmul)
def _(op: Matmul, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    a, b = (np.broadcast_to(array, (*out.shape[:-2], *array.shape[-2:])) for array in x)
    with (
        to.loops(out.shape) as (*lead, row, column),
        to.total(to.element(out, *lead, row, column)) as total,
        to.loop(a.shape[-1]) as k,
    ):
        to.set(total, f"{total} + {to.element(a, *lead, row, k)} * {to.element(b, *lead, k, column)}")


@write_op.register(Sum)
def _(op: Sum, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    array = x[0]
    kept = out.reshape([1 if axis in op.axes else n for axis, n in enumerate(array.shape)])
    inner = [n if axis in op.axes else 1 for axis, n in enumerate(array.shape)]
    with (
        to.loops(kept.shape) as places,
        to.total(to.element(kept, *places)) as total,
        to.loops(inner) as others,
    ):
        index = [others[axis] if axis in op.axes else places[axis] for axis in range(array.ndim)]
        to.set(total, f"{total} + {to.element(array, *index)}")


@write_op.register(Softmax)
def _(op: Softmax, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    """Subtracting the largest entry of a row keeps exp finite and cancels in the ratio."""
    kind, width = out.dtype.name, out.shape[-1]
    with to.loops(out.shape[:-1]) as lead:
        stop = f"{lead[-1]} + 1" if op.causal else str(width)
        top, total = to.named("largest", to.element(x[0], *lead, "0")), to.variable("total")
        with to.loop(stop, "1") as j:
            entry = to.named("entry", to.element(x[0], *lead, j))
            to.set(top, f"{entry} if {entry} > {top} or {entry} != {entry} else {top}")
        to.set(total, f"{kind}(0.0)")
        with to.loop(stop) as j:
            result = to.element(out, *lead, j)
            to.set(result, f"exp({to.element(x[0], *lead, j)} - {top})")
            to.set(total, f"{total} + {result}")
        with to.loop(stop) as j:
            result = to.element(out, *lead, j)
            to.set(result, f"{result} / {total}")
        if op.causal:
            with to.loop(str(width), stop) as j:
                to.set(to.element(out, *lead, j), f"{kind}(0.0)")


# Rows


@write_op.register(TakeRows)
def _(op: TakeRows, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    table, rows = x
    with to.loops(rows.shape) as places:
        row = to.named("row", to.element(rows, *places))
        with to.loop(table.shape[1]) as j:
            to.set(to.element(out, *places, j), to.element(table, row, j))


@write_op.register(SumRows)
def _(op: SumRows, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    values, rows = x
    to.fill(out)
    with to.loops(rows.shape) as places:
        row = to.named("row", to.element(rows, *places))
        with to.loop(values.shape[-1]) as j:
            target = to.element(out, row, j)
            to.set(target, f"{target} + {to.element(values, *places, j)}")


# Windows


@write_op.register(ConvolutionOp)
def _(op: ConvolutionOp, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    """All three: ``result[r, f, q, n] = sum image[., c, ., n] * weight[f, c, i, j]``, in the role of ``out``."""
    sizes = op.sizes(*(array.shape for array in x))
    arrays = dict(zip(op.roles, (*x, out), strict=True))
    image, weight, result = arrays["image"], arrays["weight"], arrays["result"]
    if image.ndim == 3:
        image, result, weight = image[None], result[None], weight[:, :, None]
    is_total = isinstance(op, Convolution)
    if not is_total:
        to.fill(out)
    down, across = sizes.down, sizes.across
    outer = (down.windows, sizes.groups, sizes.filters, across.windows, sizes.batch)
    with to.loops(outer) as (r, g, f, q, n):
        filter_ = to.joined(g, sizes.filters, f)
        place = to.element(result, r, filter_, q, n)
        with (
            to.total(place) if is_total else to.unchanged(place) as total,
            to.window(down, r) as (i, row),
            to.window(across, q) as (j, column),
            to.loop(sizes.channels) as c,
        ):
            pixel = to.element(image, row, to.joined(g, sizes.channels, c), column, n)
            factor = to.element(weight, filter_, c, i, j)
            terms = {"image": pixel, "weight": factor, "result": total}
            target = terms.pop(op.roles[2])
            to.set(target, f"{target} + {' * '.join(terms.values())}")


@write_op.register(WindowSum)
def _(op: WindowSum, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    with (
        to.loops(out.shape) as places,
        to.total(to.element(out, *places)) as total,
        to.window(op.sweep(x[0].shape[op.axis]), places[op.axis]) as (_, place),
    ):
        to.set(total, f"{total} + {to.element(x[0], *_at(places, op.axis, place))}")


@write_op.register(WindowSpread)
def _(op: WindowSpread, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    to.fill(out)
    with to.loops(x[0].shape) as places, to.window(op.sweep(op.size), places[op.axis]) as (_, place):
        target = to.element(out, *_at(places, op.axis, place))
        to.set(target, f"{target} + {to.element(x[0], *places)}")


@write_op.register(MaxPool)
def _(op: MaxPool, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    with (
        to.loops(out.shape) as places,
        to.total(to.element(out, *places), "-inf") as total,
        to.window(op.sweep(x[0].shape[op.axis]), places[op.axis]) as (_, place),
    ):
        entry = to.named("entry", to.element(x[0], *_at(places, op.axis, place)))
        to.set(total, f"{entry} if {entry} > {total} or {entry} != {entry} else {total}")


@write_op.register(MaxPoolOffset)
def _(op: MaxPoolOffset, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    """The first offset that is no padding is the result of windows whose elements are all -inf."""
    kind = out.dtype.name
    with to.loops(out.shape) as places:
        q, result, top = places[op.axis], to.element(out, *places), to.variable("largest")
        padding = f"{op.before} - {to.product(q, op.stride)}"
        to.set(result, f"{kind}({padding} if {padding} > 0 else 0)" if op.before else f"{kind}(0.0)")
        to.set(top, f"{kind}(-inf)")
        with to.window(op.sweep(x[0].shape[op.axis]), q) as (offset, place):
            entry = to.named("entry", to.element(x[0], *_at(places, op.axis, place)))
            with to.when(f"{entry} > {top}"):
                to.set(top, entry)
                to.set(result, f"{kind}({offset})")


def _taken(op: Windowed, to: LoopWriter, offset: str, q: str) -> str:
    """The element of the axis that the offset names."""
    return to.named("place", f"{to.product(q, op.stride)} + int64({offset}) - {op.before}")


@write_op.register(WindowTake)
def _(op: WindowTake, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    offsets, values = x
    with to.loops(out.shape) as places:
        place = _taken(op, to, to.element(offsets, *places), places[op.axis])
        entry = to.element(values, *_at(places, op.axis, place))
        inside = f"{place} >= 0 and {place} < {values.shape[op.axis]}"
        to.set(to.element(out, *places), f"{entry} if {inside} else {out.dtype.name}(0.0)")


@write_op.register(WindowPut)
def _(op: WindowPut, to: LoopWriter, x: Sequence[Array], out: Array) -> None:
    offsets, values = x
    to.fill(out)
    with to.loops(values.shape) as places:
        place = _taken(op, to, to.element(offsets, *places), places[op.axis])
        with to.when(f"{place} >= 0 and {place} < {op.size}"):
            target = to.element(out, *_at(places, op.axis, place))
            to.set(target, f"{target} + {to.element(values, *places)}")


def _at(places: Sequence[str], axis: int, place: str) -> list[str]:
    """The index with another place along one axis."""
    return [*places[:axis], place, *places[axis + 1 :]]


def has_loops(op: Op) -> bool:
    """Whether ``write_op`` can write it."""
    return write_op.dispatch(type(op)) is not write_op.dispatch(Op)
