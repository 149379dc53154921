"""Row blocks: nests whose rows are independent of each other, one block of rows after the other through all of them.

The steps of a recurrent layer are small products and loops, and each waits for the one before. Threads that share them
would wait at every step; but no example of the batch waits for another. So a thread takes some rows through all steps,
and what a step leaves in its cache the next one finds there.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.execution.arena import Storage
from backprop_cli.execution.codegen import AS_MULTIPLICATIONS, WORTH_SHARING, DirectConvolution, Piece, Product
from backprop_cli.execution.fusion import Nest, call_of
from backprop_cli.execution.groups import Group, Statement, Touched
from backprop_cli.execution.loops import address
from backprop_cli.execution.nest_text import is_total
from backprop_cli.structs import Struct

_LARGEST_MATRIX = 2**18
"""Bytes of a matrix that all blocks of rows are multiplied by: it stays in the cache of a core."""

_BLOCK, _FEWEST, _MOST = 16, 4, 64
"""Rows of a block; fewest and most blocks. 100 products of 64 x 64 and 64 x 256 numbers take 2.07 ms in one block of
rows, 2.31 in blocks of 16, 2.60 in blocks of 8."""


class RowBlocks(Struct, eq=False):
    """Pieces one after the other, each of so many rows; a row of one needs the same row of others, no other row."""

    rows: int
    pieces: Sequence[Piece]

    @property
    def block(self) -> int:
        """Rows that go through all pieces at once; they do not depend on the number of threads."""
        return max(-(-self.rows // _MOST), min(_BLOCK, -(-self.rows // _FEWEST)))


class Band(NamedTuple):
    """The bytes ``low`` to ``high`` of row 0; those of the next row are ``step`` bytes behind, 0 if it has the same."""

    low: int
    high: int
    step: int
    written: bool

    @classmethod
    def of(cls, touched: Touched, step: int, rows: int, written: bool) -> Band:
        """What is touched with a step from row to row; all rows have the same bytes if integers choose elements."""
        step = 0 if touched.shifted else step
        return cls(touched.low, touched.high - step * (rows - 1), step, written)

    def end(self, rows: int) -> int:
        """The end of the last row."""
        return self.high + self.step * (rows - 1)

    def joined(self, other: Band, rows: int) -> Band | None:
        """Both, which share bytes; None if a row of one touches what another row of the other writes."""
        low, high, written = min(self.low, other.low), max(self.high, other.high), self.written or other.written
        if self.step == other.step and high - low <= self.step:
            return Band(low, high, self.step, written)
        return None if written else Band(low, max(self.end(rows), other.end(rows)), 0, False)


@dataclass
class Found:
    """Nests that can go by blocks of rows. ``steps``: bytes from row to row of what they compute."""

    rows: int
    nests: list[Nest] = field(default_factory=list)
    steps: dict[Value, int] = field(default_factory=dict)
    products: int = 0
    work: int = 0
    _bands: list[Band] = field(default_factory=list)  # apart from each other, in the order of their places

    @property
    def is_worth_sharing(self) -> bool:
        """Whether several products would wait for each other, and there is work enough for threads."""
        return self.products > 1 and self.work >= WORTH_SHARING

    def takes(self, nest: Nest, arrays: Mapping[Value, Array]) -> bool:
        """Let the next nest join, if its rows are independent of other rows of all nests."""
        if self.rows < 2:
            return False
        touched = _touched(nest, arrays, self.rows)
        bands = self._bands.copy()
        if touched is None or (self.products and not self._waits(nest, touched)):
            return False
        if not all(_enter(bands, band, self.rows) for band in touched):
            return False
        self._bands = bands
        self.nests.append(nest)
        self.steps |= {node: band.step for band, nodes in touched.items() for node in nodes}
        self.products += not nest.groups
        self.work += _work(nest)
        return True

    def _waits(self, nest: Nest, touched: Bands) -> bool:
        """Whether a product by one matrix reads what nests before it wrote; other nests may join in any case.

        Threads share a product alone that waits for none of them: each block of rows would read its matrix once more.
        """
        if nest.groups or nest.nodes[0].ndim > 2:
            return True
        reads = next(iter(touched))
        at = bisect_left(self._bands, (reads.high,)) - 1
        return at >= 0 and self._bands[at].written and self._bands[at].end(self.rows) > reads.low

    def bind(self, pieces: Sequence[Piece]) -> RowBlocks:
        """The pieces of the nests as one."""
        return RowBlocks(self.rows, pieces)

    def hold(self, storage: dict[Value, Storage], base: Mapping[Value, Value], parts: Collection[Value]) -> None:
        """Keep all memory in use from the first nest to the last: each block of rows goes through all of them.

        Values of the same rows that live one after the other inside the nests share memory. ``storage``: of base
        values; ``parts`` are computed inside other values.
        """
        first, last = self.nests[0].first, self.nests[-1].last
        nodes = [node for nest in self.nests for node in nest.nodes]
        owners: dict[Storage, list[Value]] = {}
        for node in nodes:
            owners.setdefault(storage[node], []).append(node)
        free: dict[Spec, list[Storage]] = {}
        for old in sorted(owners, key=attrgetter("birth")):
            whole = all(self.steps.get(x, 0) * self.rows == old.spec.nbytes and x not in parts for x in owners[old])
            if old.external or not whole or not first <= old.birth <= old.death <= last:
                continue
            known = free.setdefault(old.spec, [])
            new = next((each for each in known if each.death < old.birth), None)
            if new is None:
                known.append(old)
                continue
            new.death = old.death
            storage.update(dict.fromkeys(owners[old], new))
        for held in {storage[base[x]] for node in nodes for x in (node, *node.inputs)}:
            if first <= held.birth <= last:
                held.birth = first
            if first <= held.death <= last:
                held.death = last


def _enter(bands: list[Band], band: Band, rows: int) -> bool:
    """Join a band with those that share bytes with it; False if a row then meets another row."""
    if band.step < 0 or (band.written and not band.step):
        return False
    while True:
        at = bisect_left(bands, (band.low,))
        at -= at > 0 and bands[at - 1].end(rows) > band.low
        if at == len(bands) or bands[at].low >= band.end(rows):
            bands.insert(at, band)
            return True
        other = bands[at]
        joined = band.joined(other, rows)
        if joined is None:
            return False
        if joined == other:
            return True
        band = joined
        del bands[at]


def find_blocks(
    nodes: Iterable[Value], base: Mapping[Value, Value], nests: Sequence[Nest], arrays: Mapping[Value, Array]
) -> list[Found]:
    """The runs of nests that go by blocks of rows. Between them are no other ops.

    ``base`` maps a view to the value whose memory it shows. The first product of a run says how many rows there are.
    """
    starts = {nest.nodes[0]: nest for nest in nests}
    inside = {node for nest in nests for node in nest.nodes[1:]}
    order = [starts.get(node) for node in nodes if node.op and base[node] is node and node not in inside]
    found, run = list[Found](), Found(0)
    for nest, rows in zip(order, _rows_ahead(order, arrays), strict=True):
        if nest is None or not run.takes(nest, arrays):
            found.append(run)
            run = Found(rows)
            if nest is None or not run.takes(nest, arrays):
                run = Found(0)
    return [each for each in [*found, run] if each.is_worth_sharing]


def _rows_ahead(order: Sequence[Nest | None], arrays: Mapping[Value, Array]) -> list[int]:
    """For each nest, or call of NumPy, the rows of the next product; 0 if it does not go by rows."""
    found: list[int] = []
    rows = 0
    for nest in reversed(order):
        if nest is None:
            rows = 0
        elif not nest.groups:
            call = call_of(nest.nodes[0], arrays)
            rows = call.out.shape[0] if isinstance(call, Product) and _reads_little(call) else 0
        found.append(rows)
    return found[::-1]


def _reads_little(product: Product) -> bool:
    """Whether each block of rows may read the second matrix again: it stays in the cache, as it is."""
    b = product.b
    return product.out.ndim > 2 or (b.nbytes <= _LARGEST_MATRIX and b.strides[1] == b.itemsize)


def _work(nest: Nest) -> int:
    """Multiplications, or what takes as long."""
    if not nest.groups:
        (node,) = nest.nodes
        return node.size * node.inputs[0].shape[-1]
    return sum(math.prod(group.sizes) * AS_MULTIPLICATIONS * sum(map(len, group.phases)) for group in nest.groups)


Bands = dict[Band, list[Value]]
"""What a nest touches, each with the nodes that write it."""


def _touched(nest: Nest, arrays: Mapping[Value, Array], rows: int) -> Bands | None:
    """What a nest reads and writes; None if it does not go by rows."""
    found: Bands = {}
    if nest.groups:
        return found if all(_enter_loops(found, group, rows) for group in nest.groups) else None
    (node,) = nest.nodes
    call = call_of(node, arrays)
    if isinstance(call, DirectConvolution) or call is None or call.out.shape[0] % rows or not _reads_little(call):
        return None
    for array, of in ((call.a, []), (call.b, []), (call.out, [node])):
        by_rows = array.ndim == call.out.ndim and array.shape[0] == call.out.shape[0]
        by_rows = by_rows and (array is not call.b or array.ndim > 2)
        step = array.strides[0] * (array.shape[0] // rows) if by_rows else 0
        found[Band.of(Touched.of(array, address(array)), step, rows, bool(of))] = of
    return found


def _enter_loops(found: Bands, group: Group, rows: int) -> bool:
    """Enter what loops touch whose outermost axis is divided into rows; False if it cannot be."""
    sizes, outer = group.sizes, group.rows
    if outer == () or not sizes or sizes[axis := outer[0] if outer else 0] % rows:
        return False
    part = sizes[axis] // rows
    for each in (each for phase in group.phases for each in phase):
        *reads, to = (strides[axis] * part for strides in each.strides)
        if each.loop.put or (each.reduces and not _sums_by_row(each, outer)):
            return False
        for touched, step in zip(each.reads, reads, strict=True):
            if touched is not None:
                found.setdefault(Band.of(touched, step, rows, False), [])
        found.setdefault(Band.of(each.out, to, rows, True), []).append(each.place[0])
    return True


def _sums_by_row(each: Statement, outer: Sequence[int] | None) -> bool:
    """Whether a reduction starts anew in each of the outer loops."""
    strides = each.strides[-1]
    return is_total(each.loop, strides, outer) or (outer is not None and all(strides[axis] for axis in outer))
