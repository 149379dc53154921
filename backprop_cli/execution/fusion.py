"""Fusion: runs of ops over the same indices, compiled into one nest of loops.

Each element goes through all ops of a nest before the next element is touched: a value that only the nest reads stays
in a register and needs no memory. Matrix products and convolutions are calls of functions that compute them in tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value
from backprop_cli.execution.codegen import Assignment, Assignments, DirectConvolution, Piece, Product
from backprop_cli.execution.compiler import vector_functions
from backprop_cli.execution.element_loop import ElementLoop, element_loop

FEW = 256
"""Elements up to which a function that the C library has for one number alone is called for each; NumPy computes
several at a time."""

_DTYPES = ("float32", "float64", "int64")

Place = tuple[int, tuple[int, ...]]
"""The place of an operand in the memory of its base value: first byte, strides."""


@dataclass(frozen=True)
class Nest:
    """Nodes of one shape at the positions ``first`` to ``last`` of the program, computed index by index."""

    nodes: tuple[Value, ...]
    first: int
    last: int
    base: Mapping[Value, Value]

    room = 0
    """Elements of memory for a value that only the nest reads."""

    def bind(self, values: Mapping[Value, Array], kept: Callable[[Value], bool]) -> Piece:
        """The code to compile; ``kept`` says whether a result is read after the nest."""
        call = _call_of(self.nodes[0], values)
        if call is not None:
            return call
        numbers = {node: number for number, node in enumerate(self.nodes)}
        return Assignments(tuple(self._assignment(node, values, numbers, kept(node)) for node in self.nodes))

    def _assignment(
        self, node: Value, values: Mapping[Value, Array], numbers: Mapping[Value, int], kept: bool
    ) -> Assignment:
        loop = _loop_of(node, values)
        assert loop is not None
        sources = [self.base[operand] for operand in node.inputs]
        made = [numbers.get(source) for source in sources]
        known = [x.array.item() if x.array is not None and x.size == 1 else None for x in sources]
        more = [None] * (len(loop.operands) - len(sources))  # the op's own arrays
        return Assignment(loop, (*made, *more), (*known, *more), kept)


@dataclass
class _Group:
    """A nest under construction."""

    shape: tuple[int, ...] = ()
    closed: bool = False  # takes no more members
    members: list[tuple[int, Value]] = field(default_factory=list)
    places: dict[Value, Place] = field(default_factory=dict)  # by base value

    def takes(self, shape: tuple[int, ...], places: Mapping[Value, Place]) -> bool:
        """Whether all ops touch each memory at one place: then they can take turns at each index."""
        if self.closed or shape != self.shape:
            return False
        return all(self.places.get(base, place) == place for base, place in places.items())


def find_nests(nodes: Sequence[Value], base: Mapping[Value, Value], arrays: Mapping[Value, Array]) -> list[Nest]:
    """All ops that compile, in nests as large as possible.

    ``base`` maps a view to the value whose memory it shows; ``arrays`` have the shapes and strides of all values.
    """
    finder = _Finder(base, arrays)
    for position, node in enumerate(nodes):
        if node.op is not None and base[node] is node:
            finder.read(position, node)
    finder.close()
    return finder.nests


class _Finder:
    def __init__(self, base: Mapping[Value, Value], arrays: Mapping[Value, Array]):
        self.nests: list[Nest] = []
        self._base, self._arrays = base, arrays
        self._group = _Group()

    def close(self) -> None:
        """Make a nest of the current group."""
        positions = [position for position, _ in self._group.members]
        if positions:
            nodes = tuple(node for _, node in self._group.members)
            self.nests.append(Nest(nodes, positions[0], positions[-1], self._base))
        self._group = _Group()

    def read(self, position: int, node: Value) -> None:
        """Let the next node join the group, or end the group."""
        loop = _loop_of(node, self._arrays)
        if loop is None or not _compiles(node, loop):
            self.close()
            if _call_of(node, self._arrays) is not None:
                self._group = _Group(closed=True, members=[(position, node)])
        else:
            self._join(position, node, loop)

    def _join(self, position: int, node: Value, loop: ElementLoop) -> None:
        places = self._places(node, loop)
        alone = bool(loop.start) or places is None
        if alone or not self._group.takes(loop.out.shape, places or {}):
            self.close()
            self._group = _Group(loop.out.shape, alone)
        self._group.members.append((position, node))
        self._group.places |= places or {}

    def _places(self, node: Value, loop: ElementLoop) -> dict[Value, Place] | None:
        """The place at which the loop touches each memory; None if it touches one at two places."""
        found: dict[Value, Place] = {}
        for value, array in [*zip(node.inputs, loop.operands, strict=False), (node, loop.out)]:
            if value.array is not None:
                continue
            owner = self._base[value]
            strides = tuple(0 if n == 1 else stride for n, stride in zip(array.shape, array.strides, strict=True))
            place = array.ctypes.data - self._arrays[owner].ctypes.data, strides
            if found.setdefault(owner, place) != place:
                return None
        return found


def _loop_of(node: Value, arrays: Mapping[Value, Array]) -> ElementLoop | None:
    assert node.op is not None
    return element_loop(node.op, *(arrays[operand] for operand in node.inputs), out=arrays[node])


def _compiles(node: Value, loop: ElementLoop) -> bool:
    if node.size > FEW and not loop.functions <= vector_functions():
        return False
    return all(array.dtype.name in _DTYPES for array in (*loop.operands, loop.out))


def _call_of(node: Value, arrays: Mapping[Value, Array]) -> Product | DirectConvolution | None:
    """The op as a call of a function in ``tiles.h``; None if none takes its arrays."""
    call: Product | DirectConvolution
    out = arrays[node]
    if isinstance(node.op, Matmul) and _loop_of(node, arrays) is None:
        call = Product(arrays[node.inputs[0]], arrays[node.inputs[1]], out)
    elif isinstance(node.op, ConvolutionOp):
        call = DirectConvolution(node.op, arrays[node.inputs[0]], arrays[node.inputs[1]], out)
    else:
        return None
    return call if call.fits else None
