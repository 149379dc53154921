"""Ops on windows: the elements at each offset of many windows at once; wide windows element by element."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from backprop_cli.autodiff.ops.pooling import (
    MaxPool,
    MaxPoolOffset,
    Windowed,
    WindowPut,
    WindowSpread,
    WindowSum,
    WindowTake,
)
from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.loops.element_loop import LARGER, ElementLoop, element_loops
from backprop_cli.execution.loops.movement_loops import cleared, copied

Loops = tuple[ElementLoop, ...]

_FEW = 9
"""Offsets up to which each has an assignment of its own: windows of 3 x 3."""


class _Part(NamedTuple):
    """Windows next to each other that have the same offsets in the array, from ``first`` on.

    Shapes: elements (..., windows, offsets, ...), windows (..., windows, ...); ``axis`` is that of the offsets
    """

    first: int
    elements: Array
    windows: Array
    axis: int

    def at(self, number: int) -> Array:
        """The elements of all windows at one of the offsets, counted from the first."""
        index: tuple[slice | int, ...] = (*(slice(None),) * self.axis, number)
        found: Array = self.elements[index]
        return found

    @property
    def width(self) -> int:
        """The number of offsets."""
        return int(self.elements.shape[self.axis])

    @property
    def offsets(self) -> Array:
        """The offset at each element."""
        counted = np.arange(self.first, self.first + self.width, dtype=self.windows.dtype)
        return np.broadcast_to(counted.reshape(-1, *(1,) * (self.elements.ndim - self.axis - 1)), self.elements.shape)

    def repeated(self, windows: Array) -> Array:
        """An array of windows, repeated along the offsets."""
        return np.broadcast_to(np.expand_dims(windows, self.axis), self.elements.shape)


def _parts(op: Windowed, x: Array, windows: Array) -> Iterator[_Part]:
    """All windows: those without padding, then each of the others."""
    size, lead = x.shape[op.axis], (slice(None),) * op.axis
    count = windows.shape[op.axis]
    first = min(-(-op.before // op.stride), count)
    last = max(first, min(count, (size + op.before - op.kernel) // op.stride + 1))
    pieces = [(first, last), *((q, q + 1) for q in (*range(first), *range(last, count)))]
    for start, stop in pieces:
        begin = start * op.stride - op.before
        low, high = max(begin, 0), min(begin + op.kernel, size)
        if start < stop:
            shape = (*x.shape[: op.axis], stop - start, max(high - low, 0), *x.shape[op.axis + 1 :])
            strides = (*x.strides[: op.axis], op.stride * x.strides[op.axis], *x.strides[op.axis :])
            elements = as_strided(x[(*lead, slice(min(low, size), None))], shape, strides)
            yield _Part(low - begin, elements, windows[(*lead, slice(start, stop))], op.axis + 1)


@element_loops.register(WindowSum)
def _(op: WindowSum, *x: Array, out: Array) -> Loops:
    return tuple(loop for part in _parts(op, x[0], out) for loop in _reduced(part, "{out} + {0}", "{zero}"))


@element_loops.register(MaxPool)
def _(op: MaxPool, *x: Array, out: Array) -> Loops:
    return tuple(loop for part in _parts(op, x[0], out) for loop in _reduced(part, LARGER, "-inf"))


def _reduced(part: _Part, expression: str, start: str) -> Iterator[ElementLoop]:
    """The elements of each window made one."""
    if part.width == 0:
        yield ElementLoop(start, (), part.windows)
    elif part.width > _FEW:
        yield ElementLoop(expression, (part.elements,), part.repeated(part.windows), start)
    else:
        yield copied(part.at(0), part.windows)
        yield from (ElementLoop(expression, (part.at(k),), part.windows) for k in range(1, part.width))


@element_loops.register(MaxPoolOffset)
def _(op: MaxPoolOffset, *x: Array, out: Array) -> Loops:
    return tuple(loop for part in _parts(op, x[0], out) for loop in _offsets(part))


def _offsets(part: _Part) -> Iterator[ElementLoop]:
    """The last element that is larger than all before it; in wide windows the first that equals the largest.

    What follows NaN is larger than nothing.
    """
    kind, largest = part.windows.dtype.name, np.empty(part.windows.shape, part.windows.dtype)
    yield ElementLoop(f"{kind}({part.first})", (), part.windows)
    if part.width > _FEW:
        end = part.repeated(np.empty_like(largest))  # minus the offset of the first NaN
        found = "(-{1} if -{1} > {out} else {out}) if {0} != {0} else {out}"
        yield ElementLoop(found, (part.elements, part.offsets), end, "-inf")
        maximum = "({0} if {0} > {out} else {out}) if -{1} > {2} else {out}"
        yield ElementLoop(maximum, (part.elements, part.offsets, end), part.repeated(largest), "-inf")
        arrays = part.elements, part.repeated(largest), part.offsets, end
        backwards = tuple(np.flip(x, part.axis) for x in arrays)
        first = "{2} if ({0} == {1}) and (-{2} > {3}) else {out}"
        yield ElementLoop(first, backwards, part.repeated(part.windows))
        return
    for k in range(part.width):
        if k:
            found = f"{kind}({part.first + k}) if {{0}} > {{1}} else {{out}}"
            yield ElementLoop(found, (part.at(k), largest), part.windows)
        if k < part.width - 1:
            yield ElementLoop(LARGER if k else "{0}", (part.at(k),), largest)


@element_loops.register(WindowTake)
def _(op: WindowTake, *x: Array, out: Array) -> Loops:
    return tuple(
        loop
        for part, wanted in zip(_parts(op, x[1], out), _parts(op, x[1], x[0]), strict=True)
        for loop in _taken(part, wanted.windows)
    )


def _taken(part: _Part, wanted: Array) -> Iterator[ElementLoop]:
    """The element at the offset, 0 if it is padding."""
    if part.width > _FEW:
        operands = part.elements, part.repeated(wanted), part.offsets
        yield ElementLoop("{0} if {1} == {2} else {out}", operands, part.repeated(part.windows), "{zero}")
        return
    yield cleared(part.windows)
    for k in range(part.width):
        yield ElementLoop(f"{{0}} if {{1}} == {part.first + k} else {{out}}", (part.at(k), wanted), part.windows)


@element_loops.register(WindowSpread)
def _(op: WindowSpread, *x: Array, out: Array) -> Loops:
    return tuple(_spread(op, "{0}", (x[0],), out))


@element_loops.register(WindowPut)
def _(op: WindowPut, *x: Array, out: Array) -> Loops:
    return tuple(_spread(op, "({0} if {1} == {at} else {zero})", (x[1], x[0]), out))


def _spread(op: Windowed, given: str, windows: tuple[Array, ...], out: Array) -> Iterator[ElementLoop]:
    """``given`` put on each element of the window, or added where elements can be in two windows."""
    size = out.shape[op.axis]
    overlaps = op.stride < op.kernel
    if overlaps or op.before or op.sweep(size).windows * op.kernel != size or op.stride != op.kernel:
        yield cleared(out)
    expression = f"{{out}} + {given}" if overlaps else given
    for parts in zip(*(_parts(op, out, x) for x in windows), strict=True):
        part = parts[0]
        if part.width > _FEW and not overlaps:
            operands = *(part.repeated(each.windows) for each in parts), part.offsets
            yield ElementLoop(expression.replace("{at}", "{2}"), operands, part.elements)
            continue
        for k in range(part.width):
            at = expression.replace("{at}", f"{part.first + k}")
            yield ElementLoop(at, tuple(each.windows for each in parts), part.at(k))
