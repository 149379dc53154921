"""Groups: which loops can take turns, at each index or at each row, without touching what others have yet to write."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.loop_axes import Axes, Sizes, Strides, common
from backprop_cli.execution.loops import ElementLoop, Key
from backprop_cli.execution.nest_text import fitted, is_total

SHORTEST, LARGE = 128, 2**15
"""Fewest elements of a row, and of all rows, that loops go through row by row: what is smaller stays in the cache from
one loop over all rows to the next, and short rows cost more than they save. The norm of rows in float32 with its
gradient takes 1.6 of the time row by row for 512 x 64 numbers, 1.1 for 64 x 256, half for 8,192 x 256. Steps of
networks with norms of 128 and 256 elements take 1 to 7 % longer with all rows in one pass, 0.5 to 3 % with none."""


class Touched(NamedTuple):
    """An array that a loop touches: bytes ``low`` to ``high``, all of the array if integers choose elements."""

    array: Array
    start: int
    low: int
    high: int
    shifted: bool = False

    @classmethod
    def of(cls, array: Array, start: int, reach: int = 0, shifted: bool = False) -> Touched:
        """The array at the address ``start``. ``reach``: the farthest that integers move its elements, in bytes."""
        low = high = start
        for n, stride in zip(array.shape, array.strides, strict=True):
            low, high = low + min((n - 1) * stride, 0), high + max((n - 1) * stride, 0)
        return cls(array, start, low, high + reach + (array.itemsize if array.size else 0), shifted)

    def overlaps(self, other: Touched) -> bool:
        """Whether they may share bytes."""
        return self.low < other.high and other.low < self.high

    def meets(self, other: Touched) -> bool:
        """Whether they share bytes, as far as a short look tells."""
        if not self.overlaps(other):
            return False
        try:
            return self.shifted or other.shifted or np.shares_memory(self.array, other.array, 100)  # type: ignore[arg-type]
        except np.exceptions.TooHardError:
            return True


class Statement(NamedTuple):
    """A loop, its ``place`` in the program, and its axes; those of a group once it is in one."""

    loop: ElementLoop
    place: Any
    axes: Axes
    reads: tuple[Touched | None, ...]  # None: a constant number
    out: Touched
    strides: tuple[Strides, ...] = ()

    @classmethod
    def of(cls, loop: ElementLoop, place: Any, numbers: Sequence[float | None]) -> Statement:
        """The loop as it is alone. ``numbers``: the operands that are constant numbers."""
        reach = {number: shift.stride * (shift.size - 1) for number, shift in loop.shifted}
        reads = tuple(
            None if known is not None else Touched.of(array, start, reach.get(number, 0), number in reach)
            for number, (array, start, known) in enumerate(zip(loop.operands, loop.addresses, numbers, strict=False))
        )
        put = loop.put
        out = Touched.of(loop.out, loop.addresses[-1], put.stride * (put.size - 1) if put else 0, put is not None)
        return cls(loop, place, loop.axes, reads, out, loop.axes.strides)

    def meetings(self, other: Statement) -> Iterator[Meeting]:
        """What both touch, and one of them writes."""
        for read, strides in zip((*other.reads, other.out), other.strides, strict=True):
            if read is not None and self.out.overlaps(read):
                yield from Meeting.of(self, self.out, self.strides[-1], other, read, strides)
        for read, strides in zip(self.reads, self.strides, strict=False):
            if read is not None and other.out.overlaps(read):
                yield from Meeting.of(self, read, strides, other, other.out, other.strides[-1])

    @property
    def reduces(self) -> bool:
        """Whether ``out`` is the same element at several indexes."""
        return 0 in self.axes.strides[-1]


class Meeting(NamedTuple):
    """Two statements touch the same bytes, and one writes them. ``same``: both at the same place at each index."""

    x: Touched
    x_strides: Strides
    y: Touched
    y_strides: Strides
    same: bool
    unfinished: bool
    """A reduction of one of the statements."""

    @classmethod
    def of(
        cls, a: Statement, x: Touched, x_strides: Strides, b: Statement, y: Touched, y_strides: Strides
    ) -> Iterator[Meeting]:
        """None if they do not meet."""
        shifted = x.shifted or y.shifted
        same = not shifted and x.start == y.start and x_strides == y_strides and x.array.dtype == y.array.dtype
        if same or x.meets(y):
            unfinished = (a.reduces and x is a.out) or (b.reduces and y is b.out)
            yield cls(x, x_strides, y, y_strides, same, unfinished)

    def is_by_row(self, sizes: Sizes, rows: Sequence[int]) -> bool:
        """Whether rows are apart from each other: no row of one statement touches another row of the other."""
        along = [(sizes[axis], self.x_strides[axis]) for axis in rows]
        if self.x.shifted or self.y.shifted or not all(stride for _, stride in along):
            return False
        if any(self.x_strides[axis] != self.y_strides[axis] for axis in rows):
            return False
        return self.same or _are_apart(self.x, self.y, along)


@dataclass
class Group:
    """Statements of one nest of loops; see ``Assignments`` for the fields."""

    sizes: Sizes
    rows: tuple[int, ...] | None
    phases: list[list[Statement]]

    @classmethod
    def of(cls, statement: Statement) -> Group:
        """Of one loop."""
        sizes, strides = statement.axes.sizes, statement.axes.strides[-1]
        return cls(sizes, _rows(statement, strides), [[statement]])

    def takes(self, statement: Statement) -> bool:
        """Let a statement join a phase, or be a new one, if nothing that it touches forbids it."""
        fit = self._fit(statement)
        if fit is None:
            return False
        sizes, rows, new = fit
        phases = self.phases
        if (sizes, rows) != (self.sizes, self.rows):
            phases = [[each._replace(strides=fitted(each.axes, sizes, rows)) for each in phase] for phase in phases]
        at = _phase_for(new, phases, sizes, rows)
        if at is None:
            return False
        self.sizes, self.rows, self.phases = sizes, rows, phases
        if at == len(phases):
            phases.append([])
        phases[at].append(new)
        return True

    def _fit(self, statement: Statement) -> tuple[Sizes, tuple[int, ...] | None, Statement] | None:
        """Sizes and rows of the group with this statement, and the statement with its strides along them."""
        sizes = common(self.sizes, statement.axes.sizes)
        if sizes is not None:
            rows = None if self.rows is None else _finer(self.rows, self.sizes, sizes)
            new = statement._replace(strides=fitted(statement.axes, sizes, None))
            own = _rows(statement, new.strides[-1])
            if own is not None and rows is not None and own != rows:
                return None
            return sizes, own if rows is None else rows, new
        if self.rows is None or statement.reduces:
            return None
        part = common(tuple(self.sizes[axis] for axis in self.rows), statement.axes.sizes)
        if part is None:
            return None
        sizes = _with_rows(self.sizes, self.rows, part)
        if sizes is None:
            return None
        rows = _finer(self.rows, self.sizes, sizes)
        return sizes, rows, statement._replace(strides=fitted(statement.axes, sizes, rows))

    def reads_of_memory(self) -> Iterator[tuple[Statement, list[Touched]]]:
        """Each statement and the arrays that it reads from memory, not from a register."""
        outside: set[Key] = set()
        for phase in self.phases:
            inside = set(outside)
            for each in phase:
                total = is_total(each.loop, each.strides[-1], self.rows)
                places = [each.loop.key(number, strides) for number, strides in enumerate(each.strides)]
                pairs = zip(each.reads, places, strict=False)
                reads = [read for read, place in pairs if read is not None and (read.shifted or place not in inside)]
                if "{out}" in each.loop.expression and not each.loop.start and (total or places[-1] not in inside):
                    reads.append(each.out)
                yield each, reads
                if not total and not each.loop.put:
                    inside.add(places[-1])
                if total or not _is_full(each, self.sizes):
                    outside.add(places[-1])


def _is_full(each: Statement, sizes: Sizes) -> bool:
    return math.prod(each.axes.sizes) == math.prod(sizes)


def _rows(statement: Statement, strides: Strides) -> tuple[int, ...] | None:
    """The axes that a reduction keeps, if it ends with a row: it sums the last axis."""
    if statement.loop.put or "{out}" not in statement.loop.expression or not strides or strides[-1]:
        return None
    return tuple(axis for axis, stride in enumerate(strides) if stride)


def _finer(rows: Sequence[int], sizes: Sizes, to: Sizes) -> tuple[int, ...]:
    """The same axes after some were split."""
    found: list[int] = []
    position = 0
    for axis, size in enumerate(sizes):
        inside = 1
        while inside < size:
            if axis in rows:
                found.append(position)
            inside *= to[position]
            position += 1
    return tuple(found)


def _with_rows(sizes: Sizes, rows: Sequence[int], part: Sizes) -> Sizes | None:
    """The sizes with those of the rows split into ``part``."""
    found: list[int] = []
    rest = list(part)
    for axis, size in enumerate(sizes):
        if axis not in rows:
            found.append(size)
            continue
        inside = 1
        while inside < size:
            inside *= rest[0]
            found.append(rest.pop(0))
    return tuple(found)


def _phase_for(new: Statement, phases: list[list[Statement]], sizes: Sizes, rows: tuple[int, ...] | None) -> int | None:
    """The first phase that the statement can join; as many as there are for a new one; None if it cannot join."""
    everybody = [each for phase in phases for each in phase]
    if not all(_starts_apart(each, rows) for each in (new, *everybody)):
        return None
    full = _is_full(new, sizes)
    found = None
    for at in reversed(range(len(phases))):
        met = [meeting for each in phases[at] for meeting in new.meetings(each)]
        if _is_full(phases[at][0], sizes) == full and all(each.same and not each.unfinished for each in met):
            found = at
        if met:
            break
    if found is not None:
        earlier = (meeting for phase in phases[:found] for each in phase for meeting in new.meetings(each))
        return found if all(each.is_by_row(sizes, rows or ()) for each in earlier) else None
    if rows is None or _width(sizes, rows) < SHORTEST or math.prod(sizes) < LARGE:
        return None
    meetings = (meeting for each in everybody for meeting in new.meetings(each))
    return len(phases) if all(each.is_by_row(sizes, rows) for each in meetings) else None


def _width(sizes: Sizes, rows: Sequence[int]) -> int:
    """Elements of a row."""
    return math.prod(n for axis, n in enumerate(sizes) if axis not in rows)


def _starts_apart(each: Statement, rows: tuple[int, ...] | None) -> bool:
    """Whether a sum in memory starts before all rows or inside each."""
    if not each.reduces or rows is None or is_total(each.loop, each.strides[-1], rows):
        return True
    strides = [bool(each.strides[-1][axis]) for axis in rows]
    return all(strides) or not any(strides)


def _are_apart(x: Touched, y: Touched, along: Sequence[tuple[int, int]]) -> bool:
    """Whether what they touch in one row ends before the next row begins."""
    reach = sum((n - 1) * abs(stride) for n, stride in along)
    span = max(x.high, y.high) - min(x.low, y.low) - reach
    for n, stride in sorted(along, key=lambda each: abs(each[1])):
        if span > abs(stride):
            return False
        span += (n - 1) * abs(stride)
    return True
