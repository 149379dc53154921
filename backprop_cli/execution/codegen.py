"""Loop nests, matrix products and convolutions -> the source of one function, to be compiled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.ops.im2col import ConvolutionSizes
from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.element_loop import ElementLoop

_LARGEST = 2**33
"""Bytes of an array from which its offsets, in elements, need not fit in 32 bits."""

_WIDEST = 64
"""Bytes of the widest vector of any processor."""

_MOST_TERMS = 2**16
"""Terms of a sum whose table still fits on the stack."""


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
    """``out = a b``, a function of ``tiles.h``; leading axes are those of several products."""

    a: Array
    b: Array
    out: Array

    @property
    def fits(self) -> bool:
        """Whether it takes the arrays as they are."""
        arrays = (self.a, self.b, self.out)
        if any(x.size == 0 or x.dtype != self.out.dtype or x.nbytes >= _LARGEST for x in arrays):
            return False
        rows = self.out.strides[-1] == self.out.itemsize or self.out.shape[-1] == 1
        return rows and self.out.dtype in (np.float32, np.float64)

    def emit(self, source: Source) -> None:
        """Write the call, in loops over leading axes."""
        leading = self.out.shape[:-2]
        a, b = (np.broadcast_to(x, (*leading, *x.shape[-2:])) for x in (self.a, self.b))
        places = []
        for x in (a, b, self.out):
            steps = [stride // x.itemsize for stride in x.strides[:-2]]
            offset = " + ".join(f"i{axis} * {step}" for axis, step in enumerate(steps) if step) or "0"
            places.append(f"{source.pointer(x)}[{offset}:]")
        (rows, inner), columns = a.shape[-2:], b.shape[-1]
        (a_row, a_inner), (b_inner, b_column), (out_row, _) = (
            [stride // x.itemsize for stride in x.strides[-2:]] for x in (a, b, self.out)
        )
        for axis, size in enumerate(leading):
            source.lines.append(f"{'    ' * axis}for i{axis} in range({size}):")
        operands = f"{places[0]}, {a_row}, {a_inner}, {places[1]}, {b_inner}, {b_column}, {places[2]}, {out_row}"
        source.lines.append(f"{'    ' * len(leading)}product({rows}, {columns}, {inner}, {operands})")


@dataclass(frozen=True)
class DirectConvolution:
    """A convolution or one of its transposes, a function of ``tiles.h``."""

    op: ConvolutionOp
    x: Array
    y: Array
    out: Array

    @property
    def fits(self) -> bool:
        """Whether the arrays are contiguous, and the batch fills the widest vector there is."""
        arrays = (self.x, self.y, self.out)
        if any(x.size == 0 or x.dtype != self.out.dtype or x.nbytes >= _LARGEST for x in arrays):
            return False
        batch = self._sizes.batch * self.out.itemsize
        known = self.out.dtype in (np.float32, np.float64) and all(x.flags.c_contiguous for x in arrays)
        return known and batch >= _WIDEST and self._terms <= _MOST_TERMS

    @property
    def _sizes(self) -> ConvolutionSizes:
        return self.op.sizes(self.x.shape, self.y.shape)

    @property
    def _terms(self) -> int:
        sizes = self._sizes
        return sizes.down.kernel * sizes.across.kernel * max(sizes.channels, sizes.filters)

    def emit(self, source: Source) -> None:
        """Write the call."""
        sizes = self._sizes
        sweeps = ((s.size, s.kernel, s.stride, s.dilation, s.before, s.windows) for s in (sizes.down, sizes.across))
        counts = (sizes.batch, sizes.groups, sizes.channels, sizes.filters, *sweeps)
        arrays = (source.pointer(x) for x in (self.x, self.y, self.out))
        source.lines.append(f"{self.op.kind}({', '.join(map(str, (*counts, *arrays)))})")


Piece = Assignments | Product | DirectConvolution
"""What is compiled as one statement or nest."""


class Source:
    """The body of a function of a table of addresses, which is passed once for each element type.

    The table points to the first elements of ``arrays``. Each piece has its own entries, so the text does not depend on
    addresses: pieces that do the same with other memory have the same text.
    """

    def __init__(self, pieces: Sequence[Piece] = ()) -> None:
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

    def _entry(self, array: Array) -> int:
        number = self._number.setdefault(array.ctypes.data, len(self.arrays))
        if number == len(self.arrays):
            self.arrays.append(array)
        return number

    def text(self) -> str:
        """The function."""
        body = [*self._pointers.values(), *self.lines] or ["pass"]
        return "\n".join(["def run(float32s, float64s, int64s):", *(f"    {line}" for line in body), ""])


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
