"""Vectorization: one program for a batch of tangents, cotangents or examples, as in JAX's ``vmap``.

``vectorized`` walks over a program; ``vectorize`` applies one op to operands with a new first axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch

import numpy as np

from backprop_cli.autodiff.families import Elementwise, broadcast, reshaped
from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.comparison import OneHot
from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.ops.copies import Cast, Copy, StopGradient
from backprop_cli.autodiff.ops.linalg import Matmul, flipped
from backprop_cli.autodiff.ops.pieces import Concat, Pad, Slice
from backprop_cli.autodiff.ops.pooling import Windowed
from backprop_cli.autodiff.ops.reduction import Amax, Sum
from backprop_cli.autodiff.ops.rows import SumRows, TakeRows
from backprop_cli.autodiff.ops.shape import BroadcastTo, Reshape, Transpose
from backprop_cli.autodiff.ops.softmax import Softmax
from backprop_cli.autodiff.value import Value, constant, in_layer, toposort
from backprop_cli.errors import ShapeError


def vectorized(outputs: Sequence[Value], given: Mapping[Value, Value]) -> list[Value]:
    """``outputs`` for a batch: ``given`` maps each value to its replacement, which has a new first axis.

    The outputs get that axis, too. A batch of tangents or cotangents thus goes through a derivative as one program,
    with matrix products in place of products of a matrix and a vector.

    Shapes: ``given`` maps (*shape) to (n, *shape), with one n for all -> (n, *output.shape) each

    Raises:
        ShapeError: a replacement's spec without its first axis is not its value's spec, or first axes differ.

    """
    sizes = {many.shape[:1] for many in given.values()}
    for one, many in given.items():
        if many.spec != one.spec.with_shape((*many.shape[:1], *one.shape)) or len(sizes) != 1:
            raise ShapeError(one, "needs values of its spec with one first axis for all", one=one.spec, many=many.spec)
    (size,) = sizes.pop()
    mapped = dict(given)
    for node in toposort(outputs, known=given):
        if node.op is not None and any(operand in mapped for operand in node.inputs):
            with in_layer(node.layer):
                operands = [mapped.get(operand, operand) for operand in node.inputs]
                mapped[node] = vectorize(node.op, size, operands, [operand in mapped for operand in node.inputs])
    return [mapped[out] if out in mapped else broadcast(out, (size, *out.shape)) for out in outputs]


@singledispatch
def vectorize(op: Op, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    """The op applied to ``size`` entries at once.

    ``mapped`` says which operands, at least one, have a new first axis. The result has it, too: its entry k is the op
    of the mapped operands' entries k. By default the op is repeated for each entry, and the results are joined.
    """
    specs = [v.spec.with_shape(v.shape[1:]) if m else v.spec for v, m in zip(x, mapped, strict=True)]
    one = op.shape(*specs)
    if size == 0:
        return BroadcastTo((0, *one.shape))(constant(0, one.dtype))
    results = [op(*(_entry(v, k) if m else v for v, m in zip(x, mapped, strict=True))) for k in range(size)]
    return Concat(0)(*(Reshape((1, *one.shape))(result) for result in results))


def _entry(x: Value, k: int) -> Value:
    """``x[k]``."""
    return Reshape(x.shape[1:])(Slice(0, k, k + 1)(x))


def _repeated(size: int, x: Sequence[Value], mapped: Sequence[bool]) -> list[Value]:
    """All operands with the new first axis; those not mapped are repeated along it."""
    return [v if is_mapped else broadcast(v, (size, *v.shape)) for v, is_mapped in zip(x, mapped, strict=True)]


def _aligned(x: Value, ndim: int) -> Value:
    """``x`` with axes of size 1 inserted after the first, so that it has ``ndim`` axes."""
    return reshaped(x, (x.shape[0], *(1,) * (ndim - x.ndim), *x.shape[1:]))


@vectorize.register(Elementwise)
def _by_broadcasting(op: Op, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    axes = max(v.ndim - is_mapped for v, is_mapped in zip(x, mapped, strict=True))
    return op(*(_aligned(v, axes + 1) if is_mapped else v for v, is_mapped in zip(x, mapped, strict=True)))


@vectorize.register(OneHot)
@vectorize.register(Cast)
@vectorize.register(StopGradient)
@vectorize.register(Copy)
@vectorize.register(Softmax)
def _(op: Op, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    return op(x[0])


@vectorize.register(Reshape)
def _(op: Reshape, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    return Reshape((size, *op.to))(x[0])


@vectorize.register(Transpose)
def _(op: Transpose, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    return Transpose((0, *(axis + 1 for axis in op.perm)))(x[0])


@vectorize.register(BroadcastTo)
def _(op: BroadcastTo, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    return BroadcastTo((size, *op.to))(_aligned(x[0], len(op.to) + 1))


@vectorize.register(Slice)
@vectorize.register(Pad)
def _(op: Slice | Pad, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    return replace(op, axis=op.axis + 1)(x[0])


@vectorize.register(Concat)
@vectorize.register(Windowed)
def _(op: Concat | Windowed, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    return replace(op, axis=op.axis + 1)(*_repeated(size, x, mapped))


@vectorize.register(Sum)
@vectorize.register(Amax)
def _(op: Sum | Amax, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    return replace(op, axes=tuple(axis + 1 for axis in op.axes))(x[0])


@vectorize.register(Matmul)
def _(op: Matmul, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    """One product of a taller matrix if only one operand is mapped and the other is a matrix; else one each."""
    left, right = x
    if mapped[0] and not mapped[1] and right.ndim == 2:
        rows = reshaped(left, (math.prod(left.shape[:-1]), left.shape[-1]))
        return reshaped(op(rows, right), (*left.shape[:-1], right.shape[-1]))
    if mapped[1] and not mapped[0] and left.ndim == 2:
        return flipped(vectorize(op, size, (flipped(right), flipped(left)), (True, False)))
    return _by_broadcasting(op, size, x, mapped)


@vectorize.register(TakeRows)
def _(op: TakeRows, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    """The tables are stacked if each is read at its own rows, else set side by side."""
    table, rows = x
    if not mapped[0]:
        return op(table, rows)
    *_, count, width = table.shape
    if mapped[1]:
        return op(reshaped(table, (size * count, width)), _offset(rows, size, count))
    wide = reshaped(Transpose((1, 0, 2))(table), (count, size * width))
    return _apart(op(wide, rows), size, width)


@vectorize.register(SumRows)
def _(op: SumRows, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    """The sums are stacked if each entry has its own rows, else set side by side."""
    values, rows = x
    width = values.shape[-1]
    if mapped[1]:
        values = values if mapped[0] else broadcast(values, (size, *values.shape))
        total = SumRows(size * op.count)(values, _offset(rows, size, op.count))
        return reshaped(total, (size, op.count, width))
    wide = Transpose((*range(1, values.ndim - 1), 0, values.ndim - 1))(values)
    return _apart(op(reshaped(wide, (*rows.shape, size * width)), rows), size, width)


def _offset(rows: Value, size: int, count: int) -> Value:
    """Row numbers in ``size`` matrices of ``count`` rows each, as row numbers in their stack."""
    starts = np.arange(size).reshape(size, *(1,) * (rows.ndim - 1)) * count
    return rows + constant(starts, rows.dtype)


def _apart(wide: Value, size: int, width: int) -> Value:
    """(..., size * width) as (size, ..., width)."""
    *lead, _ = wide.shape
    split = reshaped(wide, (*lead, size, width))
    return Transpose((len(lead), *range(len(lead)), len(lead) + 1))(split)


@vectorize.register(ConvolutionOp)
def _(op: ConvolutionOp, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
    """A larger batch if all entries share the weights, else more groups."""
    is_weight = [role == "weight" for role in op.roles]
    if tuple(mapped) == (True, False) and is_weight[1]:
        return _from_batch(op(_to_batch(x[0]), x[1]), size)
    grouped = (_to_channels(v, is_weight[k]) for k, v in enumerate(_repeated(size, x, mapped)))
    return _from_channels(replace(op, groups=size * op.groups)(*grouped), size, is_weight[2])


def _to_batch(x: Value) -> Value:
    """(size, ..., batch) -> (..., size * batch)."""
    axes = x.ndim
    return reshaped(Transpose((*range(1, axes - 1), 0, axes - 1))(x), (*x.shape[1:-1], x.shape[0] * x.shape[-1]))


def _from_batch(x: Value, size: int) -> Value:
    axes = x.ndim
    return Transpose((axes - 1, *range(axes - 1), axes))(reshaped(x, (*x.shape[:-1], size, x.shape[-1] // size)))


def _to_channels(x: Value, is_weight: bool) -> Value:
    """The new axis moved into the channels, or into the filters of a weight."""
    at = 0 if is_weight else x.ndim - 4
    front = Transpose((*range(1, at + 1), 0, *range(at + 1, x.ndim)))(x)
    return reshaped(front, (*x.shape[1 : at + 1], x.shape[0] * x.shape[at + 1], *x.shape[at + 2 :]))


def _from_channels(x: Value, size: int, is_weight: bool) -> Value:
    at = 0 if is_weight else x.ndim - 3
    split = reshaped(x, (*x.shape[:at], size, x.shape[at] // size, *x.shape[at + 1 :]))
    return Transpose((at, *range(at), *range(at + 1, x.ndim + 1)))(split)
