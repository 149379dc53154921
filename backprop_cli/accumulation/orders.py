"""Searches for cheap elimination orders.

They work on any ``Elimination``, which knows the present cost of each vertex and can eliminate it. They order groups:
vertices that are eliminated one right after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np

from backprop_cli.errors import UsageError

Group = tuple[int, ...]


class Order(NamedTuple):
    """An elimination order, its cost in multiplications, the method that found it, and whether it is proved optimal."""

    order: tuple[int, ...]
    cost: int
    method: str
    proved_optimal: bool


class Elimination(Protocol):
    """A graph in the middle of its elimination.

    The graph that is left must not depend on the order in which the others were eliminated.
    """

    @property
    def vertices(self) -> Sequence[int]:
        """The vertices that can be eliminated, in the order of evaluation."""

    def copy(self) -> Self:
        """An independent copy."""

    def degree(self, vertex: int) -> int:
        """Multiplications of eliminating the vertex in the present state."""

    def eliminate(self, vertex: int) -> int:
        """Take the vertex out; return its cost."""


def order_cost(start: Elimination, order: Sequence[int]) -> int:
    """Multiplications of eliminating all vertices in this order.

    Raises: UsageError if the order does not have each vertex once.
    """
    if sorted(order) != sorted(start.vertices):
        raise UsageError(f"an order must have each of the vertices {list(start.vertices)} once; got {list(order)}")
    state = start.copy()
    return sum(state.eliminate(vertex) for vertex in order)


def forward_order(start: Elimination) -> tuple[int, ...]:
    """The order of evaluation."""
    return tuple(start.vertices)


def reverse_order(start: Elimination) -> tuple[int, ...]:
    """The opposite order."""
    return tuple(reversed(start.vertices))


def markowitz(start: Elimination, *, ties: str = "last", discount: Mapping[int, int] | None = None) -> tuple[int, ...]:
    """Greedy: always the vertex of the smallest degree minus ``discount``; among equals the ``first`` or ``last``.

    With reaching inputs times reached outputs as discount it is the relative rule (Albrecht, Gottschling & Naumann
    2003).
    """
    state, left, order = start.copy(), list(start.vertices), []
    sign = -1 if ties == "last" else 1
    less = discount or {}
    while left:
        chosen = min(left, key=lambda vertex: (state.degree(vertex) - less.get(vertex, 0), sign * vertex))
        state.eliminate(chosen)
        left.remove(chosen)
        order.append(chosen)
    return tuple(order)


def exhaustive(start: Elimination, groups: Sequence[Group], bound: int) -> tuple[Group, ...] | None:
    """The cheapest order, by dynamic programming over subsets; None if no order is cheaper than ``bound``.

    The cost of a vertex depends on the set eliminated before it, not on that set's order:
    ``best[X + j] = min_j best[X] + cost(j after X)``.
    """
    layer: dict[int, tuple[int, tuple[int, ...], Elimination]] = {0: (0, (), start)}
    for _ in groups:
        found: dict[int, tuple[int, int, int]] = {}
        states: dict[int, Elimination] = {}
        for gone, (cost, _, state) in layer.items():
            for number, group in enumerate(groups):
                if gone >> number & 1:
                    continue
                total = cost + state.degree(group[0]) * len(group)
                after = gone | 1 << number
                if total < bound and (after not in found or total < found[after][0]):
                    found[after] = total, gone, number
        for after, (_, gone, number) in found.items():
            states[after] = state = layer[gone][2].copy()
            for vertex in groups[number]:
                state.eliminate(vertex)
        layer = {
            after: (total, (*layer[gone][1], number), states[after]) for after, (total, gone, number) in found.items()
        }
    return next((tuple(groups[number] for number in path) for _, path, _ in layer.values()), None)


def annealed(start: Elimination, groups: Sequence[Group], *, seed: int, budget: int) -> tuple[Group, ...]:
    """The cheapest order met in ``budget`` random moves of one group, starting from the given order.

    Simulated annealing (Naumann, SIAM J. Optim. 2002) with linear cooling. A move changes costs only between its two
    places, so only those are counted again.
    """
    count = len(groups)
    if count < 2 or budget < 1:
        return tuple(groups)
    walk = _Walk(start, list(groups))
    best, best_cost = list(walk.order), walk.cost
    rng = np.random.default_rng(seed)
    warmth = 0.5 * walk.cost / count
    # An accepted rise is exponentially distributed with the temperature as its mean.
    rises = rng.standard_exponential(budget) * np.linspace(warmth, 0.0, budget)
    for source, target, rise in zip(
        rng.integers(0, count, budget).tolist(), rng.integers(0, count, budget).tolist(), rises.tolist(), strict=True
    ):
        if source != target and walk.try_move(source, target, rise) and walk.cost < best_cost:
            best, best_cost = list(walk.order), walk.cost
    return tuple(best)


class _Walk:
    """An order that is being changed, with the cost of every place and the state before it."""

    def __init__(self, start: Elimination, order: list[Group]):
        self.order = order
        self.costs: list[int] = [0] * len(order)
        self.states: list[Elimination] = [start] * len(order)
        self._settle(0, order)
        self.cost = sum(self.costs)

    def _settle(self, low: int, part: Sequence[Group]) -> None:
        state = self.states[low]
        for place, group in enumerate(part, low):
            self.states[place] = state
            state = state.copy()
            self.costs[place] = sum(state.eliminate(vertex) for vertex in group)

    def try_move(self, source: int, target: int, rise: float) -> bool:
        """Move a group unless that costs more than ``rise``."""
        low, high = min(source, target), max(source, target) + 1
        part = self.order[low:high]
        part.insert(target - low, part.pop(source - low))
        limit = sum(self.costs[low:high]) + rise
        state, cost = self.states[low].copy(), 0
        for group in part:
            for vertex in group:
                cost += state.eliminate(vertex)
            if cost > limit:
                return False
        self.cost += cost - sum(self.costs[low:high])
        self.order[low:high] = part
        self._settle(low, part)
        return True


def cheapest(start: Elimination, candidates: Mapping[str, tuple[int, ...]]) -> Order:
    """The cheapest of some orders by name, the first among equals. Only an order without cost is proved optimal."""
    costs = {method: order_cost(start, order) for method, order in candidates.items()}
    method = min(costs, key=lambda name: costs[name])
    return Order(candidates[method], costs[method], method, costs[method] == 0)


def ungrouped(groups: Sequence[Group]) -> tuple[int, ...]:
    """The vertices of all groups, in order."""
    return tuple(vertex for group in groups for vertex in group)
