"""Tiling: chains of elementwise ops on large arrays, executed block by block.

Run op by op, a million numbers are fetched from memory and written back by every op. Block by block, all ops of the
chain run on a block that fits in the cache before the next block is touched; a value that only the chain reads (a
temporary) needs no more memory than a block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from backprop_cli.autodiff.families import Elementwise
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value
from backprop_cli.execution.kernels import Call, bind, flat
from backprop_cli.structs import Struct

BLOCK = 65_536
"""Elements in a block: 256 kB of float32. Smaller blocks cost calls, larger ones memory."""


class Chain(Struct, eq=False):
    """Elementwise nodes of one size, next to each other in the program; positions ``first`` to ``last``."""

    nodes: tuple[Value, ...]
    first: int
    last: int

    room = BLOCK
    """Elements of memory for a value that only the chain reads."""

    remembered: ClassVar[frozenset[Value]] = frozenset()
    """Nodes that need all their memory."""

    @property
    def size(self) -> int:
        """Elements of each result."""
        return self.nodes[0].size

    def bind(
        self,
        values: Mapping[Value, Array],
        scratch: Mapping[Value, tuple[Array, ...]],
    ) -> list[Call]:
        """The calls of all ops on the first block, then on the second, and so on.

        An array shorter than the chain (a temporary, or scratch) is one block, reused for each.
        """
        calls: list[Call] = []
        arrays = {id(values[value]): values[value] for node in self.nodes for value in (node, *node.inputs)}
        for start in range(0, self.size, BLOCK):
            stop = min(start + BLOCK, self.size)
            # One piece of each array, so that an op in place gets it twice.
            pieces = {key: self._piece(array, start, stop) for key, array in arrays.items()}
            for node in self.nodes:
                assert node.op is not None
                operands = [pieces[id(values[operand])] for operand in node.inputs]
                memory = tuple(array[: stop - start] for array in scratch[node])
                calls += flat(bind(node.op, *operands, out=pieces[id(values[node])], scratch=memory))
        return calls

    def _piece(self, array: Array, start: int, stop: int) -> Array:
        if array.size == 1:
            return array.reshape(())
        return array.reshape(-1)[start:stop] if array.size == self.size else array[: stop - start]


def find_chains(nodes: Sequence[Value], base: Mapping[Value, Value], arrays: Mapping[Value, Array]) -> list[Chain]:
    """The chains of at least two ops on at least two blocks.

    ``base`` maps a view to the value whose memory it shows; ``arrays`` have the shapes and strides of all values. Views
    and constants between two ops do not end a chain: they do nothing.
    """
    chains: list[Chain] = []
    run: list[tuple[int, Value]] = []

    def close() -> None:
        if len(run) > 1:
            chains.append(Chain(tuple(node for _, node in run), run[0][0], run[-1][0]))
        run.clear()

    for position, node in enumerate(nodes):
        if node.op is None or base[node] is not node:
            continue
        fits = _goes_by_blocks(node, arrays)
        if run and not (fits and node.size == run[0][1].size):
            close()
        if fits:
            run.append((position, node))
    close()
    return chains


def _goes_by_blocks(node: Value, arrays: Mapping[Value, Array]) -> bool:
    """Whether each element of the result depends on the elements at its place in contiguous operands."""
    if not isinstance(node.op, Elementwise) or node.size < 2 * BLOCK:
        return False
    return all(
        operand.size == 1 or (operand.size == node.size and arrays[operand].flags.c_contiguous)
        for operand in node.inputs
    )
