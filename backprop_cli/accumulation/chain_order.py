"""The cheapest order of a chain of Jacobians with known patterns, by matrix-chain dynamic programming."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from backprop_cli.accumulation.jacobian_graph import BlockElimination, Patterns
from backprop_cli.accumulation.local_jacobian import Structure
from backprop_cli.autodiff.spec import Array


def cheapest_chain_order(start: BlockElimination) -> tuple[int, ...]:
    """The vertices of a chain in the cheapest order: ``best[i, j] = min_k best[i, k] + best[k, j] + work(i, k, j)``.

    Time grows with the third power of the number of vertices; all parts of one length are solved at once in NumPy.
    """
    between = start.vertices
    path = [next(iter(start.before[between[0]])), *between, next(iter(start.after[between[-1]]))]
    parts = _Parts(start.patterns, [start.before[k][j] for j, k in pairwise(path)])
    return tuple(path[k] for k in parts.order())


class _Parts:
    """The products of neighbouring factors of a chain, in tables by (start or end, length).

    ``even``: entries in each row of a product's inner matrix, or in each column of its outer one; -1 if they differ.
    """

    def __init__(self, patterns: Patterns, factors: list[Structure]):
        self.patterns = patterns
        self.count = len(factors)
        shape = (self.count + 1, self.count + 1)
        self.by_start, self.by_end = _Table(shape), _Table(shape)
        self.found: dict[tuple[int, int], Structure] = {}
        self.split: dict[tuple[int, int], int] = {}
        self._even: dict[int, tuple[int, int]] = {}
        for place, factor in enumerate(factors):
            self._add(place, 1, factor, 0)

    def _add(self, first: int, length: int, pattern: Structure, cost: int) -> None:
        self.found[first, first + length] = pattern
        if id(pattern) not in self._even:  # ``patterns`` keeps them alive
            self._even[id(pattern)] = _even(pattern.per_row), _even(pattern.per_column)
        row, column = self._even[id(pattern)]
        self.by_start.put((first, length), cost, pattern, row)
        self.by_end.put((first + length, length), cost, pattern, column)

    def order(self) -> list[int]:
        """The joints between factors, counted from 1, in the order of their elimination."""
        for length in range(2, self.count + 1):
            self._solve(length)
        found, left = [], [(0, self.count)]
        while left:
            first, last = left.pop()
            if last - first > 1:
                k = self.split[first, last]
                found.append(k)
                left += [(first, k), (k, last)]
        return found[::-1]

    def _solve(self, length: int) -> None:
        """Find the cheapest way to each product of ``length`` factors."""
        starts = self.count - length + 1
        inner = self.by_start.part(slice(0, starts), slice(1, length))
        outer = self.by_end.part(slice(length, None), slice(length - 1, 0, -1))
        work = np.where(outer.even >= 0, outer.even * inner.entries, outer.entries * inner.even)
        is_free = outer.is_unit | inner.is_unit
        for first, place in np.argwhere((outer.even < 0) & (inner.even < 0) & ~is_free):
            k = first + place + 1
            work[first, place] = self.patterns.product(self.found[k, first + length], self.found[first, k])[1]
        costs = inner.cost + outer.cost + np.where(is_free, 0, work)
        for first, place in enumerate(np.argmin(costs, axis=1).tolist()):
            k = first + place + 1
            pattern, _ = self.patterns.product(self.found[k, first + length], self.found[first, k])
            self.split[first, first + length] = k
            self._add(first, length, pattern, int(costs[first, place]))


class _Table:
    """Cost and pattern of each product."""

    def __init__(self, shape: tuple[int, int]):
        self.cost, self.entries, self.even = np.zeros((3, *shape), np.int64)
        self.is_unit = np.zeros(shape, bool)

    def put(self, place: tuple[int, int], cost: int, pattern: Structure, even: int) -> None:
        """Write one entry."""
        self.cost[place], self.entries[place], self.even[place] = cost, pattern.nonzeros, even
        self.is_unit[place] = pattern.is_unit

    def part(self, rows: slice, columns: slice) -> _Table:
        """A view of some entries."""
        found = _Table((0, 0))
        found.cost, found.entries, found.even = (a[rows, columns] for a in (self.cost, self.entries, self.even))
        found.is_unit = self.is_unit[rows, columns]
        return found


def _even(counts: Array) -> int:
    first = int(counts[0]) if len(counts) else 0
    return first if bool((counts == first).all()) else -1
