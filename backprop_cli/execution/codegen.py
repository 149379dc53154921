"""Loop nests (see ``nest_text``), matrix products and convolutions -> the source of one function, to be compiled."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import numpy as np

from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.ops.im2col import ConvolutionSizes
from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.loops import address, name_of
from backprop_cli.structs import Struct

_LARGEST = 2**33
"""Bytes of an array from which its offsets, in elements, need not fit in 32 bits."""

_WIDEST = 64
"""Bytes of the widest vector of any processor."""

_BLOCK, _TILE = 64, 6
"""Columns of a product that threads take at a time: a tile or several; rows of a tile."""

WORTH_SHARING = 2**17
"""Multiplications of a product, some 2.5 us, from which threads share a piece: to share it takes 0.2 us."""

AS_MULTIPLICATIONS = 8
"""Multiplications of a product that take as long as an assignment."""

_MOST_TERMS = 2**16
"""Terms of a sum whose table still fits on the stack."""


class Piece(Struct):
    """What becomes a function: a nest of loops, a product or a convolution."""

    def emit(self, source: Source) -> None:
        """Write it."""
        raise NotImplementedError

    def arrays(self) -> Iterator[Array]:
        """All arrays that it was made for, in a fixed order; those of some may begin at one address."""
        raise NotImplementedError

    def form(self) -> Hashable:
        """All that its text depends on but the addresses of ``arrays``."""
        raise NotImplementedError


class Product(Piece):
    """``out = a b``, a function of ``tiles.c``; leading axes are those of several products."""

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

    def arrays(self) -> Iterator[Array]:
        yield from (self.a, self.b, self.out)

    def form(self) -> Hashable:
        return Product, *((x.shape, x.strides, x.dtype) for x in self.arrays())

    def emit(self, source: Source) -> None:
        """Write the call, in loops over leading axes, or over blocks of columns or rows if it is large."""
        loops, sizes = list(self.out.shape[:-2]), list(self.out.shape[-2:])
        a, b = (np.broadcast_to(x, (*loops, *x.shape[-2:])) for x in (self.a, self.b))
        steps = [[stride // x.itemsize for stride in x.strides] for x in (a, b, self.out)]
        (a_row, a_inner), (b_inner, b_column), (out_row, _) = (each[-2:] for each in steps)
        offsets, texts = [each[:-2] for each in steps], [*map(str, sizes)]
        is_large = self.out.size * a.shape[-1] >= WORTH_SHARING and not source.rows
        if source.rows and not loops:
            part = sizes[0] // source.rows
            texts[0] = f"(last - first) * {part}"
            offsets = [[part * step] for step in (a_row, 0, out_row)]
        if is_large and not loops:
            axis = 1 if sizes[1] >= 2 * _BLOCK else 0
            block = _BLOCK if axis else _TILE * -(-sizes[0] // (2 * _TILE))
            loops, texts[axis] = [-(-sizes[axis] // block)], f"min({block}, {sizes[axis]} - i0 * {block})"
            offsets = [[block * step] for step in ((0, b_column, 1) if axis else (a_row, 0, out_row))]
        for depth, size in enumerate(loops):
            span = source.span(size, is_large and size > 1) if depth == 0 else f"range({size})"
            source.lines.append(f"{'    ' * depth}for i{depth} in {span}:")
        names = [f"i{depth}" for depth in range(len(loops))] or ["first"][: len(offsets[0])]
        places = []
        for x, each in zip((a, b, self.out), offsets, strict=True):
            terms = [f"{name} * {n}" for name, n in zip(names, each, strict=True) if n]
            places.append(f"{source.pointer(x)}[{' + '.join(terms) or 0}:]")
        operands = f"{places[0]}, {a_row}, {a_inner}, {places[1]}, {b_inner}, {b_column}, {places[2]}, {out_row}"
        source.lines.append(f"{'    ' * len(loops)}product({', '.join(texts)}, {a.shape[-1]}, {operands})")


class DirectConvolution(Piece):
    """A convolution or one of its transposes, a function of ``convolutions.c``."""

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

    def arrays(self) -> Iterator[Array]:
        yield from (self.x, self.y, self.out)

    def form(self) -> Hashable:
        return self.op, *((x.shape, x.dtype) for x in self.arrays())

    def emit(self, source: Source) -> None:
        """Write the call, in a loop over blocks of the rows or of the filters if it is large."""
        sizes = self._sizes
        sweeps = ((s.size, s.kernel, s.stride, s.dilation, s.before, s.windows) for s in (sizes.down, sizes.across))
        counts = (sizes.batch, sizes.groups, sizes.channels, sizes.filters, *sweeps)
        arrays = (source.pointer(x) for x in (self.x, self.y, self.out))
        role = self.op.roles[2]
        if role == "weight":
            count, block = sizes.filters, 4 * -(-sizes.filters // 8)
        else:  # rows, or columns of the only row
            rows, columns = (s.size if role == "image" else s.windows for s in (sizes.down, sizes.across))
            count, block = (rows, 1) if rows > 1 else (columns, -(-columns // 16))
        part = "0", str(count)
        work = sizes.weights * sizes.down.windows * sizes.across.windows * sizes.batch
        if work >= WORTH_SHARING and count > block:
            source.lines.append(f"for i0 in shared({-(-count // block)}):")
            part = f"i0 * {block}", f"min(i0 * {block} + {block}, {count})"
        indent = "" if part[0] == "0" else "    "
        source.lines.append(f"{indent}{self.op.kind}({', '.join(map(str, (*part, *counts, *arrays)))})")


class Source:
    """A piece as the body of a function of a table of addresses, which is passed once for each element type.

    The table points to the first elements of ``arrays``. The text does not depend on addresses: pieces that do the same
    with other memory have the same text. If the piece has ``rows``, a call computes those from ``first`` to ``last``.
    """

    def __init__(self, piece: Piece | None = None, rows: int = 0) -> None:
        self.rows = rows
        self.lines: list[str] = []
        self.arrays: list[Array] = []
        self._number: dict[int, int] = {}  # of the entries, by address
        self._pointers: dict[str, str] = {}
        self._names = 0
        if piece is not None:
            piece.emit(self)

    def name(self, kind: str) -> str:
        """A new name of a variable."""
        self._names += 1
        return f"{kind}{self._names}"

    def span(self, size: int, is_shared: bool = False) -> str:
        """How the outermost loop goes through its range: threads share it, or a call takes some rows."""
        if self.rows:
            return f"range(first * {size // self.rows}, last * {size // self.rows})"
        return f"{'shared' if is_shared else 'range'}({size})"

    def pointer(self, array: Array) -> str:
        """A typed pointer to the array's first element."""
        number, kind = self._entry(array), name_of(array.dtype)
        name = f"{kind}_{number}"
        self._pointers[name] = f"{name} = {kind}s[{number}]"
        return name

    def _entry(self, array: Array) -> int:
        number = self._number.setdefault(address(array), len(self.arrays))
        if number == len(self.arrays):
            self.arrays.append(array)
        return number

    def text(self) -> str:
        """The function."""
        body = [*self._pointers.values(), *self.lines] or ["pass"]
        return "\n".join(["def run(float32s, float64s, int64s, first, last):", *(f"    {line}" for line in body), ""])


class Texts:
    """The texts of pieces. Those of one form, such as pieces of equal layers, have one text: it is written once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[str, list[int | Array]]] = {}

    def __call__(self, piece: Piece, rows: int = 0) -> tuple[str, list[Array]]:
        """The text of a piece (see ``Source``), and the arrays that its table points to."""
        arrays: list[Array] = []
        number_of: dict[int, int] = {}  # by address
        numbers = []
        for array in piece.arrays():
            number = number_of.setdefault(address(array), len(arrays))
            numbers.append(number)
            if number == len(arrays):
                arrays.append(array)
        form = (rows, piece.form(), *numbers)
        if form not in self._known:
            source = Source(piece, rows)
            # An array that the source made itself is shared: it has no use outside a call.
            self._known[form] = source.text(), [number_of.get(address(x), x) for x in source.arrays]
        text, table = self._known[form]
        return text, [arrays[entry] if isinstance(entry, int) else entry for entry in table]
