"""Copies: in another precision, shape or place, joined, and surrounded by zeros."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from backprop_cli.autodiff.ops.copies import Cast, Copy, StopGradient
from backprop_cli.autodiff.ops.pieces import Concat, Pad
from backprop_cli.autodiff.ops.shape import Movement, Reshape
from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.loops.element_loop import ElementLoop, element_loops

Loops = tuple[ElementLoop, ...]


def copied(x: Array, out: Array) -> ElementLoop:
    """``out[...] = x``."""
    return ElementLoop("{0}", (x,), out)


def cleared(out: Array) -> ElementLoop:
    """``out[...] = 0``."""
    return ElementLoop("{zero}", (), out)


@element_loops.register(Movement)
@element_loops.register(StopGradient)
def _(op: Movement | StopGradient, *x: Array, out: Array) -> Loops:
    moved = op.view(x[0])
    return () if moved is None else (copied(moved, out),)


@element_loops.register(Reshape)
def _(op: Reshape, *x: Array, out: Array) -> Loops:
    """In the order of x's indexes: ``out`` is contiguous, so that it can have x's shape."""
    return (copied(x[0], np.reshape(out, x[0].shape, copy=False)),)


@element_loops.register(Cast)
@element_loops.register(Copy)
def _(op: Cast | Copy, *x: Array, out: Array) -> Loops:
    return (copied(x[0], out),)


@element_loops.register(Concat)
def _(op: Concat, *x: Array, out: Array) -> Loops:
    """A loop an operand."""
    ends = np.cumsum([0, *(array.shape[op.axis] for array in x)]).tolist()
    return tuple(copied(array, _part(out, op.axis, *ab)) for array, ab in zip(x, pairwise(ends), strict=True))


@element_loops.register(Pad)
def _(op: Pad, *x: Array, out: Array) -> Loops:
    size = out.shape[op.axis]
    ends = (0, op.before), (size - op.after, size)
    zeros = (cleared(_part(out, op.axis, a, b)) for a, b in ends if a < b)
    return (copied(x[0], _part(out, op.axis, op.before, size - op.after)), *zeros)


def _part(x: Array, axis: int, start: int, stop: int) -> Array:
    return x[(*(slice(None),) * axis, slice(start, stop))]
