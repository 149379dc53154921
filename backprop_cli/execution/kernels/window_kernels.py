"""Ops on windows: a few calls an offset, on slices of whole arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from backprop_cli.autodiff.ops.pooling import (
    MaxPool,
    MaxPoolOffset,
    Windowed,
    WindowPut,
    WindowSpread,
    WindowSum,
    WindowTake,
)
from backprop_cli.autodiff.spec import Array, Spec, spec_of
from backprop_cli.execution.kernels.kernel import Call, Calls, bind, in_turn, into, scratch


@bind.register(WindowSum)
def _(op: WindowSum, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    return in_turn(_reduced(np.add, 0, op.pieces(x[0], out), out))


@bind.register(MaxPool)
def _(op: MaxPool, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    return in_turn(_reduced(np.maximum, -np.inf, op.pieces(x[0], out), out))


def _reduced(ufunc: np.ufunc, start: float, pieces: Sequence[tuple[int, Array, Array]], out: Array) -> Calls:
    """``out = ufunc of the elements of each window``; ``start`` is the ufunc's neutral number."""
    whole = [read for _, read, windows in pieces if windows.shape == out.shape]  # offsets inside for all windows
    if len(whole) == len(pieces) > 1:
        return [into(ufunc, *whole[:2], out=out), *(into(ufunc, read, out, out=out) for read in whole[2:])]
    return [partial(out.fill, start), *(into(ufunc, read, windows, out=windows) for _, read, windows in pieces)]


@bind.register(WindowSpread)
def _(op: WindowSpread, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    return in_turn([*_cleared(op, out), *(_put(op, given, target) for _, target, given in op.pieces(out, x[0]))])


def _cleared(op: Windowed, out: Array) -> Calls:
    """Zeros, unless every element of ``out`` is in exactly one window."""
    size = out.shape[op.axis]
    covers = op.stride == op.kernel and op.before == 0 and op.sweep(size).windows * op.kernel == size
    return [] if covers else [partial(out.fill, 0)]


def _put(op: Windowed, piece: Array, target: Array) -> Call:
    """Add the piece where an element can be in two windows, else copy it."""
    overlap = op.stride < op.kernel
    return into(np.add, target, piece, out=target) if overlap else partial(np.copyto, target, piece)


def _has_pairs(op: Windowed, size: int) -> bool:
    """Whether every window has two elements, and no element is in two windows."""
    last = op.sweep(size).windows * op.stride - op.stride + 1
    return op.kernel == 2 <= op.stride and op.before == 0 and last < size


@scratch.register(MaxPoolOffset)
def _(op: MaxPoolOffset, *x: Spec) -> tuple[Spec, ...]:
    """The largest so far; whether, and then which, element is larger."""
    return () if _has_pairs(op, x[0].shape[op.axis]) else (op.pooled(x[0]),) * 2


@bind.register(MaxPoolOffset)
def _(op: MaxPoolOffset, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """Of two, whether the second is larger; of more, the last that is larger than all before it."""
    pieces = op.pieces(x[0], out)
    if _has_pairs(op, x[0].shape[op.axis]):
        return in_turn([into(np.greater, pieces[1][1], pieces[0][1], out=out)])
    largest, larger = scratch
    calls: Calls = [partial(largest.fill, -np.inf), partial(out.fill, 0)]
    calls += [partial(windows.fill, first) for first, windows in op.padded(out)]
    for (offset, read, found), (_, _, top), (_, _, new) in zip(
        pieces, op.pieces(x[0], largest), op.pieces(x[0], larger), strict=True
    ):
        calls.append(into(np.greater, read, top, out=new))
        calls.append(into(np.multiply, new, offset, out=new))
        calls.append(into(np.maximum, new, found, out=found))  # offsets grow
        calls.append(into(np.maximum, read, top, out=top))
    return in_turn(calls)


@scratch.register(WindowTake)
def _(op: WindowTake, *x: Spec) -> tuple[Spec, ...]:
    """The elements taken at one offset."""
    return (x[1].with_shape(x[0].shape),)


@bind.register(WindowTake)
def _(op: WindowTake, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """``sum_k x[k] * (offset == k)``."""
    offsets, array = x
    calls: Calls = [partial(out.fill, 0)]
    for (offset, read, taken), (_, _, wanted), (_, _, part) in zip(
        op.pieces(array, out), op.pieces(array, offsets), op.pieces(array, scratch[0]), strict=True
    ):
        calls.append(into(np.equal, wanted, offset, out=part))
        calls.append(into(np.multiply, part, read, out=part))
        calls.append(into(np.add, taken, part, out=taken))
    return in_turn(calls)


def _splits(op: WindowPut, offset: Spec, x: Spec) -> bool:
    """Whether windows are pairs and offsets are numbers like x: then ``offset`` and ``1 - offset`` choose."""
    return _has_pairs(op, op.size) and offset.dtype == x.dtype


@scratch.register(WindowPut)
def _(op: WindowPut, *x: Spec) -> tuple[Spec, ...]:
    """The elements put at one offset."""
    return () if _splits(op, *x) else (x[1],)


@bind.register(WindowPut)
def _(op: WindowPut, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """``out[k] += x * (offset == k)``; with two offsets ``second = x * offset`` and ``first = x - second``."""
    offsets, array = x
    pieces = op.pieces(out, array)
    calls = _cleared(op, out)
    if _splits(op, spec_of(offsets), spec_of(array)):
        (_, first, _), (_, second, _) = pieces
        calls.append(into(np.multiply, array, offsets, out=second))
        return in_turn([*calls, into(np.subtract, array, second, out=first)])
    for (offset, target, given), (_, _, wanted), (_, _, part) in zip(
        pieces, op.pieces(out, offsets), op.pieces(out, scratch[0]), strict=True
    ):
        calls.append(into(np.equal, wanted, offset, out=part))
        calls.append(into(np.multiply, part, given, out=part))
        calls.append(_put(op, part, target))
    return in_turn(calls)
