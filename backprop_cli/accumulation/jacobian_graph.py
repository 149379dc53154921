"""A program as a graph of local Jacobians: a vertex is a value, an edge the Jacobian of an op by an operand.

An edge carries structures (``local_jacobian``), by which elimination orders are compared, and a map (``jacobian_map``),
on which the chosen order is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self, TypeVar

import numpy as np

from backprop_cli.accumulation.jacobian_map import Identity, JacobianMap, LocalMap
from backprop_cli.accumulation.local_jacobian import LocalJacobian, Structure, positions
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.autodiff.transforms import check_inexact, dependent
from backprop_cli.autodiff.value import Value, toposort

T = TypeVar("T")

_MOST_BITS = 1 << 31
"""Largest total size of patterns, 256 MB, for which orders are compared."""


class Patterns:
    """Products and sums of patterns, each computed once; equal patterns are one object."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[int, ...], int, bool], Structure] = {}
        self._products: dict[tuple[int, int], tuple[Structure, int]] = {}
        self._sums: dict[tuple[int, int], Structure] = {}

    def interned(self, structure: Structure) -> Structure:
        """The one object kept for this pattern."""
        return self._known.setdefault(structure.key, structure)

    def product(self, outer: Structure, inner: Structure) -> tuple[Structure, int]:
        """``outer @ inner`` and its multiplications."""
        key = id(outer), id(inner)  # both objects are kept in _known
        if key not in self._products:
            self._products[key] = self.interned(outer.product(inner)), outer.multiplications(inner)
        return self._products[key]

    def sum(self, one: Structure, other: Structure) -> Structure:
        """``one + other``."""
        key = id(one), id(other)
        if key not in self._sums:
            self._sums[key] = self.interned(one.sum(other))
        return self._sums[key]


def eliminate(
    vertex: int,
    before: list[dict[int, T]],
    after: list[set[int]],
    outputs: Collection[int],
    joined: Callable[[T | None, T, T], T],
) -> None:
    """Take a vertex out of a graph; an output stays, without its out-edges.

    ``before[k][i]`` is edge (i, k), ``after[i]`` the set of all k. ``joined(present, outer, inner)`` makes the edge
    around the vertex and adds it to ``present``, the edge that exists already (or None).
    """
    for k in after[vertex]:
        outer = before[k].pop(vertex)
        for i, inner in before[vertex].items():
            before[k][i] = joined(before[k].get(i), outer, inner)
            after[i].add(k)
    after[vertex] = set()
    if vertex not in outputs:
        for i in before[vertex]:
            after[i].discard(vertex)
        before[vertex] = {}


@dataclass(eq=False)
class BlockElimination:
    """A graph of local Jacobians in the middle of its elimination: ``before[k][i]`` is the pattern of edge (i, k)."""

    patterns: Patterns
    before: list[dict[int, Structure]]
    after: list[set[int]]
    outputs: frozenset[int]

    @property
    def vertices(self) -> list[int]:
        """The vertices between an input and an output, in the order of evaluation."""
        return [j for j in range(len(self.before)) if self.before[j] and self.after[j]]

    def copy(self) -> Self:
        """An independent copy."""
        return replace(self, before=[dict(edges) for edges in self.before], after=[set(s) for s in self.after])

    def degree(self, vertex: int) -> int:
        """Multiplications of eliminating the vertex in the present state."""
        inner = self.before[vertex].values()
        outer = [self.before[k][vertex] for k in self.after[vertex]]
        return sum(self.patterns.product(a, b)[1] for a in outer for b in inner)

    def eliminate(self, vertex: int) -> int:
        """Take the vertex out and return its cost. An output stays, without its out-edges."""
        cost = 0

        def joined(present: Structure | None, outer: Structure, inner: Structure) -> Structure:
            nonlocal cost
            product, multiplications = self.patterns.product(outer, inner)
            cost += multiplications
            return product if present is None else self.patterns.sum(present, product)

        eliminate(vertex, self.before, self.after, self.outputs, joined)
        return cost

    def free(self) -> list[int]:
        """Eliminate vertices that only permute their one operand, or that their one reader permutes; return them.

        Their place in an order changes no cost.
        """
        found: list[int] = []
        for vertex in self.vertices:
            ins = [*self.before[vertex].values()]
            outs = [self.before[k][vertex] for k in self.after[vertex]]
            alone = (len(ins) == 1 and ins[0].is_permutation) or (len(outs) == 1 and outs[0].is_permutation)
            if alone and vertex not in self.outputs:
                self.eliminate(vertex)
                found.append(vertex)
        return found


@dataclass(eq=False)
class JacobianGraph:
    """The part of a program between ``wrt`` and ``outputs``, as a graph.

    ``values[j]`` is the value of vertex j; ``locals[i, j]`` has the structures of edge (i, j), one for each time the op
    reads the operand. The perturbation of a value of ``wrt`` adds to its computed value, so it has its own vertex.
    """

    outputs: Sequence[Value]
    wrt: Sequence[Value]
    values: list[Value] = field(default_factory=list)
    locals: dict[tuple[int, int], list[LocalJacobian]] = field(default_factory=dict)
    maps: dict[tuple[int, int], JacobianMap] = field(default_factory=dict)
    inputs: dict[Value, int] = field(default_factory=dict)
    results: dict[Value, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_inexact(self.wrt)
        order = toposort([*self.outputs, *self.wrt])
        active = dependent(order, self.wrt)
        place: dict[Value, int] = {}
        for value in dict.fromkeys(self.wrt):
            place[value] = self.inputs[value] = self._add(value)
        for node in order:
            operands = [x for x in dict.fromkeys(node.inputs) if x in active]
            if node.op is None or not operands or node not in active:
                continue
            structures = local_jacobians(node.op, node.inputs, node)
            here = self._add(node)
            for operand in operands:
                found = [s for s, x in zip(structures, node.inputs, strict=True) if x is operand and s is not None]
                if found:
                    self._join(place[operand], here, found, LocalMap(node, operand, found))
            if node in self.inputs:
                self._join(self.inputs[node], here, [_identity(node.size)], Identity(node, node))
            place[node] = here
        for output in dict.fromkeys(self.outputs):
            self.results[output] = place.get(output, -1)
            if place.get(output, -1) in self.inputs.values():
                self.results[output] = copy = self._add(output)
                self._join(place[output], copy, [_identity(output.size)], Identity(output, output))

    def _add(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _join(self, i: int, j: int, structures: list[LocalJacobian], how: JacobianMap) -> None:
        self.locals[i, j], self.maps[i, j] = structures, how

    @cached_property
    def live(self) -> set[int]:
        """Vertices that an output depends on."""
        found = {j for j in self.results.values() if j >= 0}
        for i, j in sorted(self.locals, key=lambda edge: -edge[1]):
            if j in found:
                found.add(i)
        return found

    @property
    def bits(self) -> int:
        """Size of the patterns of all edges."""
        return sum(len(s[0].reads) * s[0].columns for (_, j), s in self.locals.items() if j in self.live)

    @property
    def is_countable(self) -> bool:
        """Whether the patterns are small enough to compare orders."""
        return self.bits <= _MOST_BITS

    def blocks(self) -> BlockElimination:
        """The graph before the first elimination, without vertices that no output depends on."""
        patterns = Patterns()
        before: list[dict[int, Structure]] = [{} for _ in self.values]
        after: list[set[int]] = [set() for _ in self.values]
        for (i, j), structures in self.locals.items():
            if j in self.live:
                pattern = patterns.interned(Structure.of(structures[0]))
                for other in structures[1:]:
                    pattern = patterns.sum(pattern, patterns.interned(Structure.of(other)))
                before[j][i] = pattern
                after[i].add(j)
        return BlockElimination(patterns, before, after, frozenset(self.results.values()))

    def costs_of_vertices(self) -> list[int]:
        """Multiplications of one tangent or cotangent through the edges that leave each vertex."""
        costs = [0] * len(self.values)
        for (i, j), structures in self.locals.items():
            if j in self.live:
                costs[i] += sum(structure.nonzeros for structure in structures if not structure.is_unit)
        return costs

    def sizes_behind(self) -> list[int]:
        """For each vertex, the number of elements of live inputs that it depends on; an input counts its own.

        An input is a bit of a mask. Masks are dropped after their last reader, so that a chain keeps one or two.
        """
        sizes = [value.size for value in self.inputs]
        last = dict(sorted(self.locals, key=lambda edge: edge[1]))  # the last reader of each
        operands: list[list[int]] = [[] for _ in self.values]
        for i, j in self.locals:
            operands[j].append(i)
        bits = {vertex: bit for bit, vertex in enumerate(self.inputs.values()) if vertex in self.live}
        masks: dict[int, int] = {}
        found: list[int] = []
        for vertex in range(len(self.values)):
            mask, size = 0, 0
            if vertex in bits:
                mask, size = 1 << bits[vertex], sizes[bits[vertex]]
            for i in operands[vertex]:
                new = masks[i] & ~mask
                mask |= new
                size += found[i] if new == masks[i] else sum(sizes[bit] for bit in positions(new))
                if last[i] == vertex:
                    del masks[i]
            masks[vertex] = mask
            found.append(size)
        return found


def _identity(size: int) -> LocalJacobian:
    return LocalJacobian(np.arange(size).reshape(size, 1), True, size)
