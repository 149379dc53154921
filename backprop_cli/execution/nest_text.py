"""A nest of loops -> its text: loads as far out as they do not change, then the assignments, then the stores."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.codegen import AS_MULTIPLICATIONS, WORTH_SHARING, Piece, Source
from backprop_cli.execution.loop_axes import Axes, Sizes, Strides, as_in_memory, merged, split, tiled
from backprop_cli.execution.loops import ElementLoop, Key, Shift, name_of
from backprop_cli.structs import Struct

_VARIABLE = re.compile(r"\b[stv]\d+\b")
"""A number that a phase computes; what it loads has an x."""

_BLOCKS = 16
"""Blocks of a sum of everything that threads share; their number decides the last bits."""

_COLUMNS, _STRIPS = 16, 4
"""Fewest columns of a strip of rows that integers choose, and most strips: a cache line of float32 in each row."""


class Assignment(Struct):
    """A loop in a nest. ``numbers``: the values of operands that are constant numbers. ``kept``: ``out`` is stored."""

    loop: ElementLoop
    numbers: tuple[float | None, ...]
    kept: bool

    @property
    def form(self) -> Hashable:
        """All but the addresses of the arrays; ``numbers`` as they are printed, with the sign of a zero."""
        loop = self.loop
        types = tuple((x.strides, x.dtype) for x in loop.arrays)
        numbers = repr(self.numbers)
        return loop.expression, loop.start, loop.shifted, loop.put, loop.out.shape, types, numbers, self.kept


class Assignments(Piece):
    """One nest: phases one after the other, all in the same outer loops.

    ``sizes``: of all axes. ``rows``: the axes of the outer loops; None if there is one phase without outer loops. The
    assignments of a phase take turns at each index of all axes, or at each row.
    """

    sizes: Sizes
    rows: tuple[int, ...] | None
    phases: tuple[tuple[Assignment, ...], ...]

    def emit(self, source: Source) -> None:
        _NestWriter(self, source).write()

    def arrays(self) -> Iterator[Array]:
        return (array for phase in self.phases for each in phase for array in each.loop.arrays)

    def form(self) -> Hashable:
        return self.sizes, self.rows, tuple(tuple(each.form for each in phase) for phase in self.phases)


def fitted(axes: Axes, sizes: Sizes, rows: Sequence[int] | None) -> tuple[Strides, ...]:
    """The strides of a loop along the axes of a nest; 0 along the others if it only has the axes of the rows."""
    if math.prod(axes.sizes) == math.prod(sizes):
        return split(axes, sizes)
    assert rows is not None
    found = split(axes, tuple(sizes[axis] for axis in rows))
    return tuple(tuple(dict(zip(rows, s, strict=True)).get(axis, 0) for axis in range(len(sizes))) for s in found)


def is_total(loop: ElementLoop, strides: Strides, rows: Sequence[int] | None) -> bool:
    """Whether it is a reduction that ends with the row: a register holds what was added up."""
    if "{out}" not in loop.expression or loop.put or rows is None or 0 not in loop.axes.strides[-1]:
        return False
    inner = [strides[axis] for axis in range(len(strides)) if axis not in rows]
    return bool(inner) and not any(inner)


class _Placed(Struct):
    """An assignment with its strides: of each operand and of ``out``, along the rows and inside them."""

    assignment: Assignment
    strides: tuple[Strides, ...]
    outer: tuple[Strides, ...]
    inner: tuple[Strides, ...]
    total: bool

    @property
    def loop(self) -> ElementLoop:
        """What it assigns."""
        return self.assignment.loop

    @property
    def adds_up(self) -> bool:
        """Whether it is a reduction that adds up in memory."""
        return not self.total and 0 in (*self.outer[-1], *self.inner[-1])


class _Sum(Struct):
    """A reduction in a register of the type ``wide``: its start, and the variable and type of its result."""

    start: str
    wide: str
    adds: bool  # or is a maximum
    kind: str
    result: str


@dataclass
class _Phase:
    """A phase while it is written. Loads: element -> number of loops around it, variable."""

    sizes: Sizes
    loads: dict[str, tuple[int, str]] = field(default_factory=dict)
    sums: dict[str, _Sum] = field(default_factory=dict)  # by variable
    joined: dict[str, str] = field(default_factory=dict)  # variable -> that of the sum of all blocks
    body: list[str] = field(default_factory=list)
    stores: dict[str, str] = field(default_factory=dict)
    after: list[str] = field(default_factory=list)

    @property
    def is_closed(self) -> bool:
        """Whether it reads no variable of an earlier phase."""
        own = {*self.sums, *(line.partition(" = ")[0] for line in self.body)}
        return all(name in own for line in self.body for name in _VARIABLE.findall(line))


class _NestWriter:
    def __init__(self, nest: Assignments, source: Source):
        self._nest, self._source = nest, source
        rows = nest.rows or ()
        every = [self._strides(each.loop) for phase in nest.phases for each in phase]
        flat = [tuple(s[axis] for axis in rows) for strides in every for s in strides]
        self._row_sizes, outer = merged([nest.sizes[axis] for axis in rows], flat)
        self._outer = iter(outer)
        self._results: dict[Key, str] = {}  # by place

    def _strides(self, loop: ElementLoop) -> tuple[Strides, ...]:
        return fitted(loop.axes, self._nest.sizes, self._nest.rows)

    def write(self) -> None:
        """Starts of sums over rows, then the loops over rows with all phases inside."""
        phases = [self._placed(phase) for phase in self._nest.phases]
        for _, members in phases:
            for each in members:
                if each.adds_up and each.loop.start and not self._starts_inside(each):
                    self._fill(each, 0)
        depth = len(self._row_sizes)
        for level, size in enumerate(self._row_sizes):
            is_shared = level == 0 and self._is_shared([each.outer[-1] for _, members in phases for each in members])
            span = self._source.span(size, is_shared) if level == 0 else f"range({size})"
            self._line(level, f"for i{level} in {span}:")
        for sizes, members in phases:
            for each in members:
                if each.adds_up and each.loop.start and self._starts_inside(each):
                    self._fill(each, depth)
            self._write_phase(sizes, members)

    def _is_shared(self, strides: Sequence[Strides]) -> bool:
        """Whether threads may share the outermost loop: much work, and every iteration has elements of its own."""
        loops = [each.loop for phase in self._nest.phases for each in phase]
        return self._is_large and all(each[0] for each in strides) and not any(loop.put for loop in loops)

    @property
    def _is_large(self) -> bool:
        """Whether there is work enough for threads, and the nest is not one of several that they share as a whole."""
        work = math.prod(self._nest.sizes) * sum(map(len, self._nest.phases)) * AS_MULTIPLICATIONS
        return not self._source.rows and work >= WORTH_SHARING

    def _placed(self, phase: Sequence[Assignment]) -> tuple[Sizes, list[_Placed]]:
        """The assignments, and the sizes of the loops inside the rows."""
        rows = self._nest.rows or ()
        inside = [axis for axis in range(len(self._nest.sizes)) if axis not in rows]
        strides = [self._strides(each.loop) for each in phase]
        full = [math.prod(each.loop.out.shape) == math.prod(self._nest.sizes) for each in phase]
        sizes = [self._nest.sizes[axis] if all(full) else 1 for axis in inside]
        axes = merged(sizes, [tuple(s[axis] for axis in inside) for each in strides for s in each])
        by_rows = self._nest.rows is not None or self._source.rows
        if not by_rows and any(each.loop.put for each in phase):
            axes = as_in_memory(axes)
        elif not by_rows and not any("{out}" in each.loop.expression for each in phase):
            axes = tiled(axes)
        inner = iter(axes.strides)
        return axes.sizes, [
            _Placed(
                each,
                mine,
                tuple(next(self._outer) for _ in mine),
                tuple(next(inner) for _ in mine),
                is_total(each.loop, mine[-1], self._nest.rows),
            )
            for each, mine in zip(phase, strides, strict=True)
        ]

    def _starts_inside(self, each: _Placed) -> bool:
        return self._nest.rows is not None and all(each.outer[-1])

    def _fill(self, each: _Placed, depth: int) -> None:
        """Set ``out`` to the start of a sum that is added up in memory."""
        loop, strides = each.loop, each.strides[-1]
        rows = self._nest.rows or ()
        axes = [axis for axis, stride in enumerate(strides) if stride and not (depth and axis in rows)]
        sizes, (inner,) = merged([self._nest.sizes[axis] for axis in axes], [tuple(strides[axis] for axis in axes)])
        for level, size in enumerate(sizes, depth):
            self._line(level, f"for i{level} in range({size}):")
        outer = each.outer[-1] if depth else ()
        element = self._element(loop.out, (*outer, *inner))[0]
        self._line(depth + len(sizes), f"{element} = {self._literal(loop.start, name_of(loop.out.dtype))}")

    def _write_phase(self, sizes: Sizes, members: Sequence[_Placed]) -> None:
        phase, depth = _Phase(sizes), len(self._row_sizes)
        outside = dict(self._results)
        for each in members:
            self._assign(each, phase)
        if sizes:  # results of single indexes are known inside the loops alone
            totals = {key: name for key, name in self._results.items() if name.startswith("t")}
            self._results = outside | totals
        self._loads(phase, depth, range(depth + 1))
        own = [each.inner[-1] for each in members if not each.total]
        is_shared = depth == 0 and phase.is_closed and self._is_shared(own)
        if is_shared and phase.sums and all(one.adds for one in phase.sums.values()):
            self._write_blocks(phase)
        elif depth == 0 and phase.is_closed and self._has_strips(sizes, members):
            self._write_strips(phase)
        else:
            for total, one in phase.sums.items():
                self._line(depth, f"{total} = {one.start}")
            self._write_loops(phase, depth, is_shared and not phase.sums)
        for total, one in phase.sums.items():
            self._line(depth, f"{one.result} = {one.kind}({phase.joined.get(total, total)})")
        for line in phase.after:
            self._line(depth, line)

    def _write_loops(self, phase: _Phase, indent: int, is_shared: bool, block: tuple[int, int] | None = None) -> None:
        """The loops inside the rows. ``block``: the level of one that goes through a block, and the block's size."""
        for level, size in enumerate(phase.sizes, len(self._row_sizes)):
            span = f"range({size})" if level else self._source.span(size, is_shared)
            if block and level == block[0]:
                span = f"range(b * {block[1]}, min(b * {block[1]} + {block[1]}, {size}))"
            self._line(indent, f"for i{level} in {span}:")
            indent += 1
            self._loads(phase, indent, (level + 1,))
        for line in (*phase.body, *(f"{element} = {name}" for element, name in phase.stores.items())):
            self._line(indent, line)

    def _write_blocks(self, phase: _Phase) -> None:
        """Sums of everything, in blocks that threads share: the sums of the blocks are added up in their order."""
        size = phase.sizes[0]
        block = -(-size // min(size, _BLOCKS))
        count = -(-size // block)
        parts = {total: self._source.pointer(np.zeros(count, each.wide)) for total, each in phase.sums.items()}
        self._line(0, f"for b in shared({count}):")
        for total, each in phase.sums.items():
            self._line(1, f"{total} = {each.wide}(0)")
        self._write_loops(phase, 1, False, (0, block))
        for total, pointer in parts.items():
            self._line(1, f"{pointer}[b] = {total}")
        for total, each in phase.sums.items():
            joined = phase.joined[total] = self._source.name("s")
            self._line(0, f"{joined} = {each.start}")
            self._line(0, f"for b in range({count}):")
            self._line(1, f"{joined} = {joined} + {parts[total]}[b]")

    def _has_strips(self, sizes: Sizes, members: Sequence[_Placed]) -> bool:
        """Whether threads may share the columns of rows that integers choose: each has elements of its own."""
        apart = all(not each.total and each.inner[-1][-1:] != (0,) for each in members)
        is_put = any(each.loop.put for each in members)
        return is_put and apart and self._is_large and len(sizes) > 1 and sizes[-1] >= 2 * _COLUMNS

    def _write_strips(self, phase: _Phase) -> None:
        """Threads share strips of columns; each goes through all rows, in the same order."""
        size = phase.sizes[-1]
        count = min(size // _COLUMNS, _STRIPS)
        self._line(0, f"for b in shared({count}):")
        self._write_loops(phase, 1, False, (len(phase.sizes) - 1, -(-size // count)))

    def _loads(self, phase: _Phase, level: int, depths: Sequence[int]) -> None:
        for element, (depth, name) in phase.loads.items():
            if depth in depths:
                self._line(level, f"{name} = {element}")

    def _assign(self, each: _Placed, phase: _Phase) -> None:
        if each.total:
            self._add_up(each, phase)
            return
        loop = each.loop
        kind, own = name_of(loop.out.dtype), loop.key(-1, each.strides[-1])
        before = self._literal(loop.start, kind) if loop.start else ""
        if "{out}" in loop.expression and (each.adds_up or not loop.start):
            before = self._operand(each, len(loop.operands), phase)[0]
        name = self._source.name("v")
        phase.body.append(f"{name} = {self._value(each, phase, before, kind)}")
        if each.assignment.kept or each.adds_up or loop.put:
            phase.stores[self._shifted(each, len(loop.operands), phase)[0]] = name
        if not loop.put:
            self._results[own] = name

    def _add_up(self, each: _Placed, phase: _Phase) -> None:
        """A sum in a register, of double precision."""
        loop = each.loop
        kind = name_of(loop.out.dtype)
        wide = "float64" if loop.out.dtype.kind == "f" and "{out} +" in loop.expression else kind
        total, name = self._source.name("s"), self._source.name("t")
        element = self._element(loop.out, (*each.outer[-1], *each.inner[-1]))[0]
        start = self._literal(loop.start, wide) if loop.start else f"{wide}({element})"
        phase.sums[total] = _Sum(start, wide, "{out} +" in loop.expression, kind, name)
        phase.body.append(f"{total} = {self._value(each, phase, total, wide)}")
        if each.assignment.kept:
            phase.after.append(f"{element} = {name}")
        self._results[loop.key(-1, each.strides[-1])] = name

    def _value(self, each: _Placed, phase: _Phase, before: str, kind: str) -> str:
        loop = each.loop
        operands = [self._operand(each, number, phase)[0] for number in range(len(loop.operands))]
        zero, one = self._literal("{zero}", kind), self._literal("{one}", kind)
        return f"{kind}({loop.expression.format(*operands, zero=zero, one=one, out=before)})"

    def _literal(self, text: str, kind: str) -> str:
        return f"{kind}({text.format(zero='0.0', one='1.0')})" if kind != "int64" else text.format(zero="0", one="1")

    def _operand(self, each: _Placed, number: int, phase: _Phase) -> tuple[str, int]:
        """An operand, or what was in ``out``: a variable, and the number of loops around it."""
        loop = each.loop
        if number < len(loop.operands) and (known := each.assignment.numbers[number]) is not None:
            return f"{name_of(loop.operands[number].dtype)}({known!r})", 0
        if self._shift(loop, number) is None:
            name = self._results.get(loop.key(number, each.strides[number]))
            if name is not None:
                return name, len(self._row_sizes) + len(phase.sizes)
        element, depth = self._shifted(each, number, phase)
        if element not in phase.loads:
            phase.loads[element] = depth, self._source.name("x")
        return phase.loads[element][1], depth

    @staticmethod
    def _shift(loop: ElementLoop, number: int) -> Shift | None:
        return loop.put if number == len(loop.operands) else dict(loop.shifted).get(number)

    def _shifted(self, each: _Placed, number: int, phase: _Phase) -> tuple[str, int]:
        """The element of an operand or of ``out``, and the number of loops it depends on."""
        array = each.loop.arrays[number]
        strides = (*each.outer[number], *each.inner[number])
        shift = self._shift(each.loop, number)
        if shift is None:
            return self._element(array, strides)
        by, depth = self._operand(each, shift.by, phase)
        place = f" + min(max({by}, 0), {shift.size - 1}) * {shift.stride // array.itemsize}"
        element, own = self._element(array, strides, place)
        return element, max(own, depth)

    def _element(self, array: Array, strides: Strides, place: str = "") -> tuple[str, int]:
        steps = [(depth, stride // array.itemsize) for depth, stride in enumerate(strides) if stride]
        index = " + ".join(f"i{depth} * {step}" for depth, step in steps) or "0"
        depth = max((depth + 1 for depth, _ in steps), default=0)
        return f"{self._source.pointer(array)}[{index}{place}]", depth

    def _line(self, level: int, text: str) -> None:
        self._source.lines.append("    " * level + text)
