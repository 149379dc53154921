"""What the derivatives of a program cost in forward, reverse and better orders; and Jacobians in the best order found.

The vertices are the program's values, an edge is the local Jacobian of an op by an operand, with the structure that
the op states (see ``structure``). Eliminating a vertex multiplies its out-edges with its in-edges. The cost is the
number of multiplications of these products of sparse matrices; entries that are 1 or -1 by construction (views,
sums, additions) cost none. For values of one element that is the scalar model of ``elimination``, but for those.

The searches on graphs and chains given as numbers (``best_order``, ``elimination_cost``, ``best_edge_order``,
``best_bracketing``, ``one_way_costs``) can be had from here, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Self

import numpy as np

from backprop_cli.autodiff.bracketing import best_bracketing, one_way_costs
from backprop_cli.autodiff.edge_elimination import best_edge_order
from backprop_cli.autodiff.elimination import best_order, elimination_cost
from backprop_cli.autodiff.evaluate import evaluate
from backprop_cli.autodiff.families import broadcast, reshaped
from backprop_cli.autodiff.jacobian_map import Identity, JacobianMap, LocalMap, added, composed
from backprop_cli.autodiff.orders import (
    Group,
    Order,
    annealed,
    cheapest,
    exhaustive,
    flat,
    forward,
    markowitz,
    order_cost,
    reverse,
)
from backprop_cli.autodiff.passes import simplified
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.structure import Local, Structure
from backprop_cli.autodiff.transforms import check_inexact, dependent
from backprop_cli.autodiff.value import Value, constant, toposort

__all__ = [
    "Accumulation",
    "Linearized",
    "accumulate",
    "accumulation",
    "best_bracketing",
    "best_edge_order",
    "best_order",
    "elimination_cost",
    "gradient_costs",
    "jacobians",
    "one_way_costs",
]  # fmt: skip

Direction = Literal["auto", "forward", "reverse"]

MOST_EXHAUSTIVE = 10
"""Vertices up to which all orders of a graph that is no chain are tried."""
_MOST_BITS = 1 << 31
"""Size of all patterns, 256 MB, above which the order is chosen by counting inputs and outputs."""


class Patterns:
    """Products and sums of patterns, each computed once; equal patterns are one object."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[int, ...], int, bool], Structure] = {}
        self._products: dict[tuple[int, int], tuple[Structure, int]] = {}
        self._sums: dict[tuple[int, int], Structure] = {}

    def interned(self, structure: Structure) -> Structure:
        """The one object that stands for this pattern."""
        return self._known.setdefault(structure.key, structure)

    def product(self, outer: Structure, inner: Structure) -> tuple[Structure, int]:
        """``outer @ inner`` and its multiplications."""
        key = id(outer), id(inner)  # of objects that are kept in _known
        if key not in self._products:
            self._products[key] = self.interned(outer.product(inner)), outer.multiplications(inner)
        return self._products[key]

    def sum(self, one: Structure, other: Structure) -> Structure:
        """``one + other``."""
        key = id(one), id(other)
        if key not in self._sums:
            self._sums[key] = self.interned(one.sum(other))
        return self._sums[key]


@dataclass(eq=False)
class Blocks:
    """A graph of local Jacobians in the middle of its elimination: ``before[k][i]`` is the pattern of edge (i, k)."""

    patterns: Patterns
    before: list[dict[int, Structure]]
    after: list[set[int]]
    outputs: frozenset[int]

    @property
    def vertices(self) -> list[int]:
        """Those between an input and an output, in the order of evaluation."""
        return [j for j in range(len(self.before)) if self.before[j] and self.after[j]]

    def copy(self) -> Self:
        """An independent copy."""
        return replace(self, before=[dict(edges) for edges in self.before], after=[set(s) for s in self.after])

    def degree(self, vertex: int) -> int:
        """Multiplications that eliminating the vertex costs as things stand."""
        inner = self.before[vertex].values()
        outer = [self.before[k][vertex] for k in self.after[vertex]]
        return sum(self.patterns.product(a, b)[1] for a in outer for b in inner)

    def eliminate(self, vertex: int) -> int:
        """Take the vertex out and return what it costs. An output stays, without its out-edges."""
        cost = 0
        for k in self.after[vertex]:
            outer = self.before[k].pop(vertex)
            for i, inner in self.before[vertex].items():
                product, multiplications = self.patterns.product(outer, inner)
                cost += multiplications
                present = self.before[k].get(i)
                self.before[k][i] = product if present is None else self.patterns.sum(present, product)
                self.after[i].add(k)
        self.after[vertex] = set()
        if vertex not in self.outputs:
            for i in self.before[vertex]:
                self.after[i].discard(vertex)
            self.before[vertex] = {}
        return cost

    def free(self) -> list[int]:
        """Vertices that are their only operand, or their only reader, in another order: no choice depends on them."""
        found = []
        for vertex in self.vertices:
            ins = [*self.before[vertex].values()]
            outs = [self.before[k][vertex] for k in self.after[vertex]]
            alone = (len(ins) == 1 and ins[0].is_permutation) or (len(outs) == 1 and outs[0].is_permutation)
            if alone and vertex not in self.outputs:
                self.eliminate(vertex)
                found.append(vertex)
        return found


@dataclass(eq=False)
class Linearized:
    """The part of a program between ``wrt`` and ``outputs``, as a graph.

    ``values[j]`` is the value of vertex j; ``locals`` the edges (i, j) with the structures of the ops that make them,
    one an operand. A value of ``wrt`` is perturbed on top of what it is computed from, so it has a vertex of its own.
    """

    outputs: Sequence[Value]
    wrt: Sequence[Value]
    values: list[Value] = field(default_factory=list)
    locals: dict[tuple[int, int], list[Local]] = field(default_factory=dict)
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
            structures = node.op.local(node.inputs, node)
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

    def _join(self, i: int, j: int, structures: list[Local], how: JacobianMap) -> None:
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
        """Whether the patterns fit into the memory they may take, so that orders can be compared."""
        return self.bits <= _MOST_BITS

    def blocks(self) -> Blocks:
        """The graph before the first elimination, without what no output depends on."""
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
        return Blocks(patterns, before, after, frozenset(self.results.values()))

    def cost_of_pass(self, sources: Set[int] | None = None) -> int:
        """Multiplications of one tangent or cotangent through the edges that leave these vertices; all by default."""
        return sum(
            structure.nonzeros
            for (i, j), structures in self.locals.items()
            for structure in structures
            if not structure.is_unit and j in self.live and (sources is None or i in sources)
        )

    def reached(self, vertex: int) -> set[int]:
        """The vertex and those that depend on it."""
        found = {vertex}
        for i, j in sorted(self.locals, key=lambda edge: edge[1]):
            if i in found:
                found.add(j)
        return found


def _identity(size: int) -> Local:
    return Local(np.arange(size).reshape(size, 1), True, size)


@dataclass(frozen=True)
class Accumulation:
    """The Jacobians of outputs by inputs as a graph, and what elimination orders of it cost, in multiplications.

    ``best.order`` has the vertices that take work to eliminate, ``free`` those that are only another order of elements.
    """

    graph: Linearized
    forward: Order
    reverse: Order
    best: Order
    free: tuple[int, ...]

    def order(self, direction: Direction) -> tuple[int, ...]:
        """All vertices in the order that ``direction`` means."""
        chosen = {"auto": self.best, "forward": self.forward, "reverse": self.reverse}[direction]
        return (*self.free, *chosen.order)

    def jacobians(self, direction: Direction = "auto") -> list[list[Value]]:
        """The Jacobian of each output by each of ``wrt``, accumulated in the order that ``direction`` means."""
        return _eliminated(self.graph, self.order(direction))


def accumulation(outputs: Sequence[Value], wrt: Sequence[Value], *, budget: int = 500, seed: int = 0) -> Accumulation:
    """Find a cheap order for the Jacobians of ``outputs`` by ``wrt``.

    A chain of Jacobians is solved exactly by dynamic programming, another graph exactly up to ten vertices, and else
    by the cheapest of forward, reverse, Markowitz and ``budget`` moves of annealing.
    """
    graph = Linearized(outputs, wrt)
    start = graph.blocks()
    free = tuple(start.free())
    ways = {"forward": forward(start), "reverse": reverse(start)}
    costs = {name: Order(order, order_cost(start, order), name, False) for name, order in ways.items()}
    best = _best(start, ways, budget, seed)
    return Accumulation(graph, costs["forward"], costs["reverse"], best, free)


def _best(start: Blocks, ways: Mapping[str, tuple[int, ...]], budget: int, seed: int) -> Order:
    found = cheapest(start, {**ways, "markowitz": markowitz(start)})
    if found.proved_optimal:
        return found
    if _is_chain(start):
        return _improved(found, start, _bracketed(start), "bracketing", proved=True)
    groups: list[Group] = [(vertex,) for vertex in found.order]
    if len(groups) <= MOST_EXHAUSTIVE:
        order = exhaustive(start, groups, found.cost)
        return _improved(found, start, found.order if order is None else flat(order), "exhaustive search", proved=True)
    return _improved(found, start, flat(annealed(start, groups, seed=seed, budget=budget)), "annealing", proved=False)


def _improved(found: Order, start: Blocks, order: tuple[int, ...], method: str, proved: bool) -> Order:
    cost = order_cost(start, order)
    return Order(order, cost, method, proved) if cost < found.cost else found._replace(proved_optimal=proved)


def _is_chain(start: Blocks) -> bool:
    between = start.vertices
    joints = all(len(start.before[j]) == len(start.after[j]) == 1 for j in between)
    return joints and sum(map(len, start.before)) == len(between) + 1


def _bracketed(start: Blocks) -> tuple[int, ...]:
    """The cheapest order of a chain: matrix-chain dynamic programming on patterns, O(vertices^3)."""
    between = start.vertices
    path = [next(iter(start.before[between[0]])), *between, next(iter(start.after[between[-1]]))]
    best: dict[tuple[int, int], tuple[int, Structure, tuple[int, ...]]] = {}
    for k in range(1, len(path)):
        best[k - 1, k] = 0, start.before[path[k]][path[k - 1]], ()
    for length in range(2, len(path)):
        for first in range(len(path) - length):
            best[first, first + length] = min(
                _splits(start.patterns, path, best, first, first + length), key=lambda choice: choice[0]
            )
    return best[0, len(path) - 1][2]


def _splits(
    patterns: Patterns,
    path: Sequence[int],
    best: Mapping[tuple[int, int], tuple[int, Structure, tuple[int, ...]]],
    first: int,
    last: int,
) -> Iterator[tuple[int, Structure, tuple[int, ...]]]:
    for k in range(first + 1, last):
        inner_cost, inner, below = best[first, k]
        outer_cost, outer, above = best[k, last]
        product, work = patterns.product(outer, inner)
        yield inner_cost + outer_cost + work, product, (*below, *above, path[k])


def gradient_costs(scalar: Value, wrt: Sequence[Value]) -> tuple[int, int]:
    """Multiplications of the derivatives of a scalar by ``wrt``: (forward, reverse).

    Reverse is one pass over the local Jacobians; forward one pass an element of ``wrt``, over those that depend on it.
    """
    graph = Linearized([scalar], wrt)
    passes = [
        value.size * graph.cost_of_pass(graph.reached(vertex))
        for value, vertex in graph.inputs.items()
        if vertex in graph.live
    ]
    return sum(passes), graph.cost_of_pass()


def jacobians(outputs: Sequence[Value], wrt: Sequence[Value], order: Direction = "auto") -> list[list[Value]]:
    """The Jacobian of each of ``outputs`` by each of ``wrt``, of shape (*output.shape, *w.shape), as more program.

    ``auto``: in the cheapest order found; ``forward`` and ``reverse``: in the order of evaluation and against it, which
    are forward and reverse mode with all tangents, or cotangents, at once.

    Raises: ShapeError where one of ``wrt`` is an integer.
    """
    graph = Linearized(outputs, wrt)
    if not graph.is_countable:
        fewer = sum(out.size for out in outputs) < sum(w.size for w in wrt)
        both = order == "reverse" or (order == "auto" and fewer)
        sequence = sorted({j for edge in graph.locals for j in edge} - set(graph.inputs.values()), reverse=both)
        return _eliminated(graph, [j for j in sequence if j not in graph.results.values()])
    return accumulation(outputs, wrt).jacobians(order)


def _eliminated(graph: Linearized, order: Sequence[int]) -> list[list[Value]]:
    """Carry out an elimination order on the maps of the edges."""
    before: list[dict[int, JacobianMap]] = [{} for _ in graph.values]
    after: list[set[int]] = [set() for _ in graph.values]
    for (i, j), how in graph.maps.items():
        if j in graph.live:
            before[j][i] = how
            after[i].add(j)
    outputs = set(graph.results.values())
    for vertex in order:
        for k in after[vertex]:
            outer = before[k].pop(vertex)
            for i, inner in before[vertex].items():
                product = composed(outer, inner)
                before[k][i] = added(before[k][i], product) if i in before[k] else product
                after[i].add(k)
        after[vertex] = set()
        if vertex not in outputs:
            for i in before[vertex]:
                after[i].discard(vertex)
            before[vertex] = {}
    return [[_entry(graph, before, out, w) for w in graph.wrt] for out in graph.outputs]


def _entry(graph: Linearized, before: Sequence[Mapping[int, JacobianMap]], out: Value, w: Value) -> Value:
    shape = (*out.shape, *w.shape)
    row = graph.results[out]
    found = before[row].get(graph.inputs[w]) if row >= 0 else None
    return broadcast(constant(0, w.dtype), shape) if found is None else reshaped(found.matrix(), shape)


def accumulate(
    outputs: Sequence[Value], inputs: Sequence[Value], feed: Mapping[Value, Array], order: Direction = "auto"
) -> list[list[Array]]:
    """The Jacobians of ``jacobians`` as arrays, for the values in ``feed``."""
    rows = jacobians(outputs, inputs, order)
    arrays = evaluate(simplified([entry for row in rows for entry in row]), feed)
    width = len(inputs)
    return [arrays[start : start + width] for start in range(0, len(arrays), width)] if width else [[] for _ in rows]
