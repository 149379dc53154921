"""Loop nests (see ``nest_text``), matrix products and convolutions -> the source of one function, to be compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.ops.im2col import ConvolutionSizes
from backprop_cli.autodiff.spec import Array

_LARGEST = 2**33
"""Bytes of an array from which its offsets, in elements, need not fit in 32 bits."""

_WIDEST = 64
"""Bytes of the widest vector of any processor."""

_MOST_TERMS = 2**16
"""Terms of a sum whose table still fits on the stack."""


@runtime_checkable
class Piece(Protocol):
    """A part of a function: a nest of loops, a product or a convolution."""

    def emit(self, source: Source) -> None:
        """Write it."""


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
        self._names = 0
        for piece in pieces:
            self._number = {}
            piece.emit(self)

    def name(self, kind: str) -> str:
        """A new name of a variable."""
        self._names += 1
        return f"{kind}{self._names}"

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
