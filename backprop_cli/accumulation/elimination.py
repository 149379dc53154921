"""Vertex elimination: accumulating the Jacobian of a graph of scalar operations.

An edge (i, j) carries ``c_ji = d v_j / d v_i``. Eliminating vertex j does ``c_ki += c_kj c_ji`` for all predecessors i
and successors k, ``|P_j| |S_j|`` multiplications, and removes j. When all intermediates are gone, the edges are the
Jacobian. Forward mode eliminates in the order of evaluation, reverse mode in the opposite order. Other orders can be
cheaper, and the cheapest is NP-hard to find (Naumann 2008; Bentert et al. 2025). Every edge counts, even one of 1 or
-1; additions are free.

Sources: Griewank & Reese (1991); Naumann, Math. Prog. 99 (2004) 399-421.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from backprop_cli.accumulation.local_jacobian import positions
from backprop_cli.accumulation.orders import (
    Group,
    Order,
    annealed,
    cheapest,
    forward_order,
    markowitz,
    order_cost,
    reverse_order,
    ungrouped,
)
from backprop_cli.autodiff.spec import Array
from backprop_cli.errors import UsageError

MOST_EXACT = 18
"""Most intermediates for an exhaustive search of vertex orders: 2^18 subsets."""


class Graph(NamedTuple):
    """``predecessors[j]``: the vertices from which j is computed, all before j; an input has none.

    Outputs may be read by other vertices.
    """

    predecessors: Sequence[Sequence[int]]
    outputs: Sequence[int]


class ScalarElimination:
    """A graph in the middle of its elimination, as bit sets: bit i of ``before[j]`` is the edge (i, j)."""

    __slots__ = ("after", "before", "is_output")

    def __init__(self, before: list[int], after: list[int], is_output: int):
        self.before, self.after, self.is_output = before, after, is_output

    @classmethod
    def of(cls, graph: Graph | tuple[Sequence[Sequence[int]], Sequence[int]]) -> ScalarElimination:
        """The graph before the first elimination, without vertices that no output depends on.

        Raises: UsageError if a vertex is computed from a later one, or an output is no vertex.
        """
        predecessors, outputs = graph
        count = len(predecessors)
        before, live = [0] * count, 0
        for output in outputs:
            if not 0 <= output < count:
                raise UsageError(f"output {output} is not one of the vertices 0 to {count - 1}")
            live |= 1 << output
        is_output = live
        for j in reversed(range(count)):
            for i in predecessors[j]:
                if not 0 <= i < j:
                    raise UsageError(f"vertex {j} is computed from {i}; a predecessor must come before it")
                if live >> j & 1:
                    before[j] |= 1 << i
                    live |= 1 << i
        after = [sum(1 << k for k in range(count) if before[k] >> j & 1) for j in range(count)]
        return cls(before, after, is_output)

    @property
    def vertices(self) -> list[int]:
        """The vertices between an input and an output, in the order of evaluation."""
        return [j for j in range(len(self.before)) if self.before[j] and self.after[j]]

    def copy(self) -> ScalarElimination:
        """An independent copy."""
        return ScalarElimination(self.before.copy(), self.after.copy(), self.is_output)

    def degree(self, vertex: int) -> int:
        """Markowitz degree: multiplications of eliminating the vertex in the present state."""
        return self.before[vertex].bit_count() * self.after[vertex].bit_count()

    def eliminate(self, vertex: int) -> int:
        """Take the vertex out and return its cost. An output stays, without its out-edges."""
        before, after = self.before, self.after
        up, down, others = before[vertex], after[vertex], ~(1 << vertex)
        stays = self.is_output >> vertex & 1
        for k in positions(down):
            before[k] = before[k] & others | up
        for i in positions(up):
            after[i] = (after[i] if stays else after[i] & others) | down
        after[vertex] = 0
        if not stays:
            before[vertex] = 0
        return up.bit_count() * down.bit_count()

    def reach(self) -> dict[int, int]:
        """For each intermediate, the number of inputs that reach it times the number of outputs that it reaches."""
        sources, targets = [0] * len(self.before), [0] * len(self.before)
        for j, mask in enumerate(self.before):
            sources[j] = 0 if mask else 1 << j
            for i in positions(mask):
                sources[j] |= sources[i]
        for j in reversed(range(len(self.after))):
            targets[j] = self.is_output & 1 << j
            for k in positions(self.after[j]):
                targets[j] |= targets[k]
        return {vertex: sources[vertex].bit_count() * targets[vertex].bit_count() for vertex in self.vertices}


def elimination_cost(graph: Graph | tuple[Sequence[Sequence[int]], Sequence[int]], order: Sequence[int]) -> int:
    """Multiplications of the Jacobian by eliminating all intermediates in this order.

    Raises: UsageError if the order does not have each intermediate once.
    """
    return order_cost(ScalarElimination.of(graph), order)


def best_order(
    graph: Graph | tuple[Sequence[Sequence[int]], Sequence[int]], *, budget: int = 20_000, seed: int = 0
) -> Order:
    """The cheapest vertex order found.

    First forward, reverse, Markowitz and relative Markowitz. Then all orders if the intermediates fall into at most 18
    groups of false twins, which proves the result optimal; else ``budget`` moves of annealing from the best so far.
    """
    start = ScalarElimination.of(graph)
    found = cheapest(
        start,
        {
            "forward": forward_order(start),
            "reverse": reverse_order(start),
            "markowitz": markowitz(start),
            "relative markowitz": markowitz(start, discount=start.reach()),
        },
    )
    groups = twins(start)
    if len(groups) <= MOST_EXACT:
        order, cost = _cheapest_of_all(start, groups)
        return (
            found._replace(proved_optimal=True) if cost == found.cost else Order(order, cost, "exhaustive search", True)
        )
    place = {vertex: number for number, vertex in enumerate(found.order)}
    together = sorted(groups, key=lambda group: place[group[0]])
    order = ungrouped(annealed(start, together, seed=seed, budget=budget))
    cost = order_cost(start, order)
    return Order(order, cost, "annealing", False) if cost < found.cost else found


def twins(start: ScalarElimination) -> list[Group]:
    """The intermediates in groups of false twins, which have the same predecessors and the same successors.

    Some best order eliminates twins one right after the other (Bentert et al., arXiv 2506.17521).
    """
    groups: dict[tuple[int, int, int], list[int]] = {}
    for vertex in start.vertices:
        key = start.before[vertex], start.after[vertex], start.is_output >> vertex & 1
        groups.setdefault(key, []).append(vertex)
    return [tuple(group) for group in groups.values()]


def _cheapest_of_all(start: ScalarElimination, groups: Sequence[Group]) -> tuple[tuple[int, ...], int]:
    """``best[X + j] = min best[X] + |P_j^X| |S_j^X|`` over all subsets X of the groups, 2^p at once."""
    count = len(groups)
    subsets = np.arange(1 << count, dtype=np.uint32)
    costs = _degrees(start, groups, subsets)
    best = np.full(1 << count, np.iinfo(np.int64).max // 2)
    last = np.full(1 << count, -1, np.int8)
    best[0] = 0
    sizes = np.bitwise_count(subsets)
    for size in range(count):
        layer = subsets[sizes == size]
        for number in range(count):
            without = layer[layer >> number & 1 == 0]
            after = without | np.uint32(1 << number)
            total = best[without] + costs[number][without]
            better = total < best[after]
            best[after[better]], last[after[better]] = total[better], number
    path, subset = [], (1 << count) - 1
    while subset:
        number = int(last[subset])
        path.append(groups[number])
        subset ^= 1 << number
    return ungrouped(path[::-1]), int(best[-1])


def _degrees(start: ScalarElimination, groups: Sequence[Group], subsets: Array) -> list[Array]:
    """The cost of eliminating each group after each subset of the others.

    Its neighbours are then those reached through the subset. A bit set has a bit for each group and each other vertex.
    """
    bit = {vertex: number for number, group in enumerate(groups) for vertex in group}
    ends = [j for j in range(len(start.before)) if j not in bit and (start.before[j] or start.after[j])]
    bit |= {vertex: number for number, vertex in enumerate(ends, len(groups))}
    weights = [len(group) for group in groups] + [1] * len(ends)
    words = -(-len(weights) // 64)
    up: dict[int, Array] = {}
    down: dict[int, Array] = {}
    order = sorted(range(len(groups)), key=lambda number: groups[number][0])
    for number in order:
        up[number] = _neighbours(start.before[groups[number][0]], 0, bit, up, subsets, words)
    for number in reversed(order):
        down[number] = _neighbours(start.after[groups[number][0]], start.is_output, bit, down, subsets, words)
    counts = np.array(weights)
    return [
        _count(up[number], counts) * _count(down[number], counts) * weights[number] for number in range(len(groups))
    ]


def _neighbours(
    adjacent: int, stays: int, bit: dict[int, int], reached: dict[int, Array], subsets: Array, words: int
) -> Array:
    """Bit sets (words, subsets) of reached vertices: a neighbour, or what it reached if it is gone.

    Vertices of ``stays`` are outputs, which remain after their elimination as intermediates.
    """
    found = np.zeros((words, len(subsets)), np.uint64)
    for vertex in positions(adjacent):
        number = bit[vertex]
        word, itself = number >> 6, np.uint64(1 << (number & 63))
        if number not in reached:
            found[word] |= itself
            continue
        gone = (subsets >> number & 1).astype(bool)
        found |= np.where(gone, reached[number], np.uint64(0))
        found[word] |= np.where(gone & (not stays >> vertex & 1), np.uint64(0), itself)
    return found


def _count(sets: Array, weights: Array) -> Array:
    """Vertices in each bit set (words, subsets); bit k stands for ``weights[k]`` vertices."""
    total = np.zeros(sets.shape[1], np.int64)
    for word, chunk in enumerate(sets):
        here = weights[64 * word : 64 * (word + 1)]
        single = np.uint64(sum(1 << k for k, weight in enumerate(here.tolist()) if weight == 1))
        total += np.bitwise_count(chunk & single)
        for k in np.flatnonzero(here != 1).tolist():
            total += (chunk >> np.uint64(k) & np.uint64(1)).astype(np.int64) * here[k]
    return total
