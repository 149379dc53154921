"""Fusion: runs of ops over the same elements, compiled into one nest of loops.

Each element goes through all ops of a nest before the next element is touched: a value that only the nest reads stays
in a register and needs no memory. Sums of rows end a phase: ops that read the sum go through the row once more, while
it is in the cache. Matrix products and convolutions are calls of functions that compute them in tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value
from backprop_cli.execution.codegen import DirectConvolution, Piece, Product
from backprop_cli.execution.compiler import vector_functions
from backprop_cli.execution.groups import Group, Statement
from backprop_cli.execution.loops import ElementLoop, address, element_loops
from backprop_cli.execution.loops.movement_loops import copied
from backprop_cli.execution.nest_text import Assignment, Assignments
from backprop_cli.structs import Struct

FEW = 256
"""Elements up to which a function that the C library has for one number alone is called for each; NumPy computes
several at a time."""

_DTYPES = frozenset(map(np.dtype, ("float32", "float64", "int64")))

Place = tuple[Value, int]
"""A node, and the number of one of its loops."""


class Nest(Struct, eq=False):
    """Nodes at the positions ``first`` to ``last`` of the program, computed together.

    ``groups`` are nests of loops one after the other; none for a product. ``stored``: loops whose result is read from
    memory inside the nest.
    """

    nodes: tuple[Value, ...]
    first: int
    last: int
    groups: tuple[Group, ...]
    stored: frozenset[Place]

    room = 0
    """Elements of memory for a value that only the nest reads."""

    @cached_property
    def remembered(self) -> frozenset[Value]:
        """The nodes that need memory, even if only the nest reads them."""
        return frozenset(node for node, _ in self.stored)

    def bind(self, values: Mapping[Value, Array], kept: Callable[[Value], bool]) -> list[Piece]:
        """The code to compile; ``kept`` says whether a result is read after the nest."""
        if not self.groups:
            call = call_of(self.nodes[0], values)
            assert call is not None
            return [call]
        loops = {node: _loops_of(node, values) or () for node in self.nodes}
        stay = {node: kept(node) for node in self.nodes}

        def assignment(place: Place) -> Assignment:
            node, number = place
            loop = loops[node][number]
            written = stay[node] and _is_part(loop.out, values[node])
            return Assignment(loop, _numbers(node, loop, values), place in self.stored or written)

        return [
            Assignments(
                group.sizes,
                group.rows,
                tuple(tuple(assignment(each.place) for each in phase) for phase in group.phases),
            )
            for group in self.groups
        ]


def _is_part(x: Array, of: Array) -> bool:
    """Whether an array begins inside another, which is contiguous."""
    return x is of or address(of) <= address(x) < address(of) + max(of.nbytes, 1)


def _numbers(node: Value, loop: ElementLoop, values: Mapping[Value, Array]) -> tuple[float | None, ...]:
    """Operands that are constant numbers."""
    known = {address(values[x]): x.array.item() for x in node.inputs if x.array is not None and x.size == 1}
    return tuple(map(known.get, loop.addresses[:-1])) if known else (None,) * len(loop.operands)


def find_nests(
    nodes: Sequence[Value], base: Mapping[Value, Value], arrays: Mapping[Value, Array], portable: bool = False
) -> list[Nest]:
    """All ops that compile, in nests as large as possible.

    ``base`` maps a view to the value whose memory it shows; ``arrays`` have the shapes and strides of all values, and
    share memory where the values will. ``portable``: for any machine; only ops that are one loop over their operands.
    """
    finder = _Finder(arrays, portable)
    for position, node in enumerate(nodes):
        if node.op is not None and base[node] is node:
            finder.read(position, node)
    finder.close()
    return finder.nests


@dataclass
class _Open:
    """A nest under construction."""

    members: list[tuple[int, Value]] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)


class _Finder:
    def __init__(self, arrays: Mapping[Value, Array], portable: bool):
        self.nests: list[Nest] = []
        self._arrays, self._portable = arrays, portable
        self._open = _Open()

    def close(self) -> None:
        """Make a nest of what is open."""
        members, groups = self._open.members, self._open.groups
        if members:
            nodes = tuple(node for _, node in members)
            stored = frozenset(_stored(groups))
            self.nests.append(Nest(nodes, members[0][0], members[-1][0], tuple(groups), stored))
        self._open = _Open()

    def read(self, position: int, node: Value) -> None:
        """Let the next node join the open nest, or close it."""
        loops = _loops_of(node, self._arrays)
        if loops is None or not (_is_portable(node, loops) if self._portable else _compiles(node, loops)):
            self.close()
            if not self._portable and call_of(node, self._arrays) is not None:
                self._open.members.append((position, node))
                self.close()
            return
        for number, loop in enumerate(loops):
            known = _numbers(node, loop, self._arrays)
            self._join(position, node, Statement.of(loop, (node, number), known))

    def _join(self, position: int, node: Value, statement: Statement) -> None:
        begun = bool(self._open.members) and self._open.members[-1][1] is node
        if not (self._open.groups and self._open.groups[-1].takes(statement)):
            if not begun:
                self.close()
            self._open.groups.append(Group.of(statement))
        if not begun:
            self._open.members.append((position, node))


def _stored(groups: Sequence[Group]) -> set[Place]:
    """The results that are read from memory."""
    found: set[Place] = set()
    before: list[Statement] = []
    for statement, reads in (each for group in groups for each in group.reads_of_memory()):
        found |= {each.place for each in before if any(each.out.overlaps(read) for read in reads)}
        before.append(statement)
    return found


def copy(x: Array, to: Array) -> Assignments | Callable[[], object]:
    """A copy of an array, compiled if it can be."""
    loop = copied(x, to)
    if not _is_known(loop):
        return partial(np.copyto, to, x)
    group = Group.of(Statement.of(loop, None, (None,)))
    return Assignments(group.sizes, group.rows, ((Assignment(loop, (None,), True),),))


def _loops_of(node: Value, arrays: Mapping[Value, Array]) -> tuple[ElementLoop, ...] | None:
    """None leaves the op to NumPy. Without the copies of what is in place."""
    assert node.op is not None
    loops = element_loops(node.op, *(arrays[operand] for operand in node.inputs), out=arrays[node])
    return tuple(loop for loop in loops if not _is_in_place(loop)) if loops else None


def _is_in_place(loop: ElementLoop) -> bool:
    if loop.expression != "{0}" or loop.shifted:
        return False
    return loop.key(0, loop.operands[0].strides) == loop.key(1, loop.out.strides)


def _compiles(node: Value, loops: Sequence[ElementLoop]) -> bool:
    if node.size > FEW and not all(loop.functions <= vector_functions() for loop in loops):
        return False
    return all(map(_is_known, loops))


def _is_portable(node: Value, loops: Sequence[ElementLoop]) -> bool:
    """Whether it is one loop, over its operands alone, each element at its place."""
    if len(loops) != 1 or isinstance(node.op, Matmul):
        return False
    (loop,) = loops
    return len(loop.operands) == len(node.inputs) and not loop.shifted and loop.put is None and _is_known(loop)


def _is_known(loop: ElementLoop) -> bool:
    return all(array.dtype in _DTYPES for array in loop.arrays)


def call_of(node: Value, arrays: Mapping[Value, Array]) -> Product | DirectConvolution | None:
    """The op as a call of a function in C; None if none takes its arrays."""
    call: Product | DirectConvolution
    out = arrays[node]
    if isinstance(node.op, Matmul) and _loops_of(node, arrays) is None:
        call = Product(arrays[node.inputs[0]], arrays[node.inputs[1]], out)
    elif isinstance(node.op, ConvolutionOp):
        call = DirectConvolution(node.op, arrays[node.inputs[0]], arrays[node.inputs[1]], out)
    else:
        return None
    return call if call.fits else None
