"""A program as statements in C: its pieces in their order, with a name for each memory."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.codegen import Source
from backprop_cli.execution.written_plan import Loops, Step, WrittenPlan
from backprop_cli.exporting.c.c99 import C99, Place, literal
from backprop_cli.exporting.c.c_names import comment, rows_of
from backprop_cli.exporting.c.loop_writer import LoopWriter
from backprop_cli.exporting.c.op_loops import has_loops, write_op


class Region(NamedTuple):
    """Memory that C knows as element ``offset`` of the array ``name``, and what follows it.

    ``start``: the name of a number in C, to which ``offset`` is added.
    """

    array: Array
    name: str
    offset: int = 0
    start: str = ""


class Addresses:
    """The C names of the places in some regions, which may lie in each other: then the smallest one counts."""

    def __init__(self, regions: Iterable[Region]):
        known = (region for region in regions if region.array.size)
        self._regions = [(*_extent(region.array), region) for region in sorted(known, key=lambda r: r.array.nbytes)]
        self.used: set[str] = set()

    def place(self, array: Array) -> Place | None:
        """The C name of the array's first element; None if it is in no region: a register holds the value."""
        start, stop = _extent(array)
        for first, last, region in self._regions:
            if first <= start and stop <= last:
                self.used.add(region.name)
                offset = region.offset + (start - first) // array.itemsize
                return Place(region.name, offset, array.dtype.name, region.start)
        return None


def _extent(array: Array) -> tuple[int, int]:
    """Addresses of the first byte and after the last."""
    start = int(array.ctypes.data)
    return start, start + sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)) + array.itemsize


class _Names(Source):
    """A source whose pointers are names of places."""

    def __init__(self, addresses: Addresses):
        super().__init__()
        self.places: dict[str, Place] = {}
        self._addresses = addresses
        self._known: dict[Place, str] = {}

    def pointer(self, array: Array) -> str:
        place = self._addresses.place(array)
        if place is None:
            return "nowhere"
        name = self._known.setdefault(place, f"r{len(self._known)}")
        self.places[name] = place
        return name

    def address(self, array: Array) -> str:
        """The address of the array's first element in C."""
        return self.places[self.pointer(array)].address


def unwritable(plan: WrittenPlan) -> Iterator[Step]:
    """The steps whose ops have no form in C."""
    return (piece for piece in plan.pieces if isinstance(piece, Step) and not has_loops(piece.op))


def statements(plan: WrittenPlan, regions: Iterable[Region], real: str, total: str) -> tuple[list[str], set[str]]:
    """The lines of the plan, and the names of the regions that they use.

    ``real``: the precision. ``total``: the C type of sums.
    """
    addresses = Addresses(regions)
    lines: list[str] = []
    for piece in plan.pieces:
        source = _Names(addresses)
        lines += _comment(piece)
        if isinstance(piece, Loops):
            piece.nest.emit(source)
            lines += C99(real, total, source.places).statements(source.lines, "    ")
            continue
        writer = LoopWriter(source.pointer)
        write_op(piece.op, writer, piece.x, piece.out)
        loops = C99(real, total, source.places).statements(writer.lines, "    ")
        product = _product(piece, source, real)
        lines += loops if product is None else ["#ifdef BP_CBLAS", product, "#else", *loops, "#endif"]
    return lines, addresses.used


def _comment(piece: Loops | Step) -> list[str]:
    """``/* dense_1: add, relu */``."""
    if isinstance(piece, Step):
        layers, ops = [piece.layer] if piece.layer else [], [piece.op.kind]
    else:
        layers = list(dict.fromkeys(node.layer for node in piece.nodes if node.layer))
        ops = [node.op.kind for node in piece.nodes if node.op is not None]
    text = f"{', '.join(layers)}: {', '.join(ops)}" if layers else ", ".join(ops)
    return textwrap.wrap(f"/* {comment(text)} */", 110, initial_indent="    ", subsequent_indent="       ")


def _product(piece: Step, source: _Names, real: str) -> str | None:
    """The call of BLAS for a product of two matrices that it takes as they are."""
    if not isinstance(piece.op, Matmul) or piece.out.ndim != 2 or piece.out.size == 0:
        return None
    a, b = (_flag(x) for x in piece.x)
    if a is None or b is None or not piece.out.flags.c_contiguous:
        return None
    rows, columns, inner = *piece.out.shape, piece.x[0].shape[1]
    at = [source.address(x) for x in (*piece.x, piece.out)]
    one, zero = literal(1.0, real), literal(0.0, real)
    sizes = ["CblasRowMajor", a[0], b[0], *map(str, (rows, columns, inner))]
    operands = [one, at[0], str(a[1]), at[1], str(b[1]), zero, at[2], str(columns)]
    arguments = rows_of([*sizes, *operands], " " * 16)
    head = f"    cblas_{'s' if real == 'float32' else 'd'}gemm("
    return "\n".join([head + arguments[0].strip(), *arguments[1:]]).removesuffix(",") + ");"


def _flag(x: Array) -> tuple[str, int] | None:
    """BLAS's description of a matrix: plain or transposed, and the distance of two rows (columns) in elements."""
    rows, columns = (stride // x.itemsize for stride in x.strides)
    if (columns == 1 or x.shape[1] == 1) and (rows >= x.shape[1] or x.shape[0] == 1):
        return "CblasNoTrans", max(rows, x.shape[1])
    if (rows == 1 or x.shape[0] == 1) and (columns >= x.shape[0] or x.shape[1] == 1):
        return "CblasTrans", max(columns, x.shape[0])
    return None
