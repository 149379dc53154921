"""Loop nests and matrix products -> the source of one function, to be compiled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.element_loop import ElementLoop

_ROW_MAJOR, _PLAIN, _TRANSPOSED = 101, 111, 112  # of CBLAS


@dataclass(frozen=True)
class Assignment:
    """One op of a nest.

    For each operand, ``made`` is the number of the assignment of this nest that computes it, or None; ``numbers`` is
    its value if it is a constant number, or None. Other operands come from memory. ``kept``: the result goes to memory.
    """

    loop: ElementLoop
    made: tuple[int | None, ...]
    numbers: tuple[float | None, ...]
    kept: bool

    def operands(self) -> Iterator[tuple[Array, int | None, float | None]]:
        """Each operand with its entries of ``made`` and ``numbers``."""
        yield from zip(self.loop.operands, self.made, self.numbers, strict=True)


@dataclass(frozen=True)
class Assignments:
    """One nest of loops; a reduction is alone in its nest."""

    members: tuple[Assignment, ...]

    def emit(self, source: Source) -> None:
        """Write the nest."""
        loop = self.members[0].loop
        if loop.start or math.prod(loop.out.shape) > 0:  # an empty sum is set to its start
            _NestWriter(self, source).write()


@dataclass(frozen=True)
class Product:
    """``out = a b``, a call of BLAS."""

    a: Array
    b: Array
    out: Array

    @property
    def fits(self) -> bool:
        """Whether BLAS can take the arrays as they are."""
        arrays = (self.a, self.b, self.out)
        if any(x.ndim != 2 or x.dtype != self.out.dtype or x.size == 0 for x in arrays):
            return False
        known = self.out.dtype in (np.float32, np.float64) and self.out.flags.c_contiguous
        return known and _flag(self.a) is not None and _flag(self.b) is not None

    def emit(self, source: Source) -> None:
        """Write the call."""
        a, b = _flag(self.a), _flag(self.b)
        assert a is not None and b is not None
        (rows, inner), columns = self.a.shape, self.b.shape[1]
        at = [source.address(x) for x in (self.a, self.b, self.out)]
        name, number = ("sgemm", "float32") if self.out.dtype == np.float32 else ("dgemm", "float64")
        sizes = f"{_ROW_MAJOR}, {a[0]}, {b[0]}, {rows}, {columns}, {inner}"
        source.lines.append(
            f"{name}({sizes}, {number}(1), {at[0]}, {a[1]}, {at[1]}, {b[1]}, {number}(0), {at[2]}, {columns})"
        )


def _flag(x: Array) -> tuple[int, int] | None:
    """BLAS's description of a matrix: plain or transposed, and the distance of two rows (columns) in elements."""
    rows, columns = (stride // x.itemsize for stride in x.strides)
    if (columns == 1 or x.shape[1] == 1) and (rows >= x.shape[1] or x.shape[0] == 1):
        return _PLAIN, max(rows, x.shape[1])
    if (rows == 1 or x.shape[0] == 1) and (columns >= x.shape[0] or x.shape[1] == 1):
        return _TRANSPOSED, max(columns, x.shape[0])
    return None


class Source:
    """The body of a function of a table of addresses, which is passed once for each element type.

    The table points to the first elements of ``arrays``. Each piece has its own entries, so the text does not depend on
    addresses: pieces that do the same with other memory have the same text.
    """

    def __init__(self, pieces: Sequence[Assignments | Product] = ()) -> None:
        self.lines: list[str] = []
        self.arrays: list[Array] = []
        self._number: dict[int, int] = {}  # of the entries of the current piece, by address
        self._pointers: dict[str, str] = {}
        for piece in pieces:
            self._number = {}
            piece.emit(self)

    def pointer(self, array: Array) -> str:
        """A typed pointer to the array's first element."""
        number, kind = self._entry(array), array.dtype.name
        name = f"{kind}_{number}"
        self._pointers[name] = f"{name} = {kind}s[{number}]"
        return name

    def address(self, array: Array) -> str:
        """The address of its first element."""
        return f"addresses[{self._entry(array)}]"

    def _entry(self, array: Array) -> int:
        number = self._number.setdefault(array.ctypes.data, len(self.arrays))
        if number == len(self.arrays):
            self.arrays.append(array)
        return number

    def text(self) -> str:
        """The function."""
        body = [*self._pointers.values(), *self.lines] or ["pass"]
        return "\n".join(["def run(float32s, float64s, int64s, addresses):", *(f"    {line}" for line in body), ""])


class _NestWriter:
    """Writes one nest: loads as far out as they do not change, then the assignments, then the stores."""

    def __init__(self, nest: Assignments, source: Source):
        self._nest, self._source = nest, source
        self._sizes, self._order = _merged(nest.members)
        self._loads: dict[str, tuple[int, str]] = {}  # element -> number of loops around it, variable
        self._body: list[str] = []

    def write(self) -> None:
        first = self._nest.members[0]
        if first.loop.start:
            self._reduction(first)
            return
        results = [f"v{len(self._source.lines)}_{number}" for number in range(len(self._nest.members))]
        for name, member in zip(results, self._nest.members, strict=True):
            self._body.append(f"{name} = {self._value(member, results)}")
            if member.kept:
                self._body.append(f"{self._element(member.loop.out)[0]} = {name}")
        self._nested()

    def _reduction(self, member: Assignment) -> None:
        """Reduce in a double-precision register if the last axis is reduced; else in memory, set to the start first."""
        loop, strides = member.loop, self._strides(member.loop.out)
        if not any(strides[-1:]):
            kept = self._put_outside([depth for depth, stride in enumerate(strides) if stride])
            wide = "float64" if loop.out.dtype.kind == "f" else loop.out.dtype.name
            total = f"total_{len(self._source.lines)}"
            self._body = [f"{total} = {self._value(member, [], total, wide)}"]
            start = self._literal(loop.start, wide)
            self._nested(kept, f"{total} = {start}", f"{self._element(loop.out)[0]} = {total}")
            return
        element, _ = self._element(loop.out)
        sizes = self._sizes
        self._sizes = [n if stride else 1 for n, stride in zip(sizes, strides, strict=True)]
        self._body = [f"{element} = {self._literal(loop.start, loop.out.dtype.name)}"]
        self._nested()
        self._sizes = sizes
        self._body = [f"{element} = {self._value(member, [], element)}"]
        self._nested()

    def _put_outside(self, loops: list[int]) -> int:
        """Move these loops outside the others; return how many they are."""
        order = [*loops, *(depth for depth in range(len(self._sizes)) if depth not in loops)]
        self._sizes, self._order = [self._sizes[depth] for depth in order], [self._order[depth] for depth in order]
        return len(loops)

    def _nested(self, split: int = -1, before: str = "", after: str = "") -> None:
        """The loops around the body; ``before`` and ``after`` go inside the first ``split`` loops."""
        lines, depth = self._source.lines, len(self._sizes)
        for level in range(depth + 1):
            indent = "    " * level
            lines += [f"{indent}{name} = {element}" for element, (at, name) in self._loads.items() if at == level]
            if level == split:
                lines.append(indent + before)
            if level < depth:
                lines.append(f"{indent}for i{level} in range({self._sizes[level]}):")
            else:
                lines += [indent + line for line in self._body]
        if after:
            lines.append("    " * split + after)

    def _value(self, member: Assignment, results: Sequence[str], total: str = "", kind: str = "") -> str:
        loop = member.loop
        kind = kind or loop.out.dtype.name
        operands = [self._operand(*operand, results) for operand in member.operands()]
        zero, one = self._literal("{zero}", kind), self._literal("{one}", kind)
        return f"{kind}({loop.expression.format(*operands, zero=zero, one=one, out=total)})"

    def _literal(self, text: str, kind: str) -> str:
        return f"{kind}({text.format(zero='0.0', one='1.0')})" if kind != "int64" else text.format(zero="0", one="1")

    def _operand(self, array: Array, made: int | None, number: float | None, results: Sequence[str]) -> str:
        if made is not None:
            return results[made]
        if number is not None:
            return f"{array.dtype.name}({number!r})"
        element, depth = self._element(array)
        name = f"x{len(self._source.lines)}_{len(self._loads)}"
        return self._loads.setdefault(element, (depth, name))[1]

    def _element(self, array: Array) -> tuple[str, int]:
        """The array's element at the loops' indexes, and the number of loops it depends on."""
        strides = self._strides(array)
        index = " + ".join(f"i{d} * {stride}" for d, stride in enumerate(strides) if stride) or "0"
        depth = max((d + 1 for d, stride in enumerate(strides) if stride), default=0)
        return f"{self._source.pointer(array)}[{index}]", depth

    def _strides(self, array: Array) -> list[int]:
        strides = [
            0 if n == 1 else stride // array.itemsize for n, stride in zip(array.shape, array.strides, strict=True)
        ]
        return [strides[axis] for axis in self._order]


def _merged(members: Sequence[Assignment]) -> tuple[list[int], list[int]]:
    """Sizes of the loops, and the axis whose strides each has: axes that lie in line in all arrays are one loop."""
    arrays = [x for m in members for x, made, number in m.operands() if made is None and number is None]
    arrays += [m.loop.out for m in members if m.kept]
    shape = members[0].loop.out.shape
    sizes: list[int] = []
    axes: list[int] = []
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        if axes and all(x.strides[axes[-1]] == x.strides[axis] * n for x in arrays):
            sizes[-1] *= n
            axes[-1] = axis
        else:
            sizes.append(n)
            axes.append(axis)
    return sizes, axes
