"""Edge elimination, which is finer than vertex elimination and sometimes cheaper.

Source: Naumann, Math. Prog. 99 (2004) 399-421.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from backprop_cli.accumulation.elimination import Graph, ScalarElimination, best_order
from backprop_cli.accumulation.local_jacobian import positions

EdgeElimination = tuple[str, int, int]
Predecessors = tuple[int, ...]
"""The predecessors of every vertex, as bit sets."""


class EdgeOrder(NamedTuple):
    """Edge eliminations as (``front`` or ``back``, i, j), their cost, and whether they are proved optimal."""

    order: tuple[EdgeElimination, ...]
    cost: int
    proved_optimal: bool


def best_edge_order(
    graph: Graph | tuple[Sequence[Sequence[int]], Sequence[int]], *, most_states: int = 200_000
) -> EdgeOrder:
    """The cheapest order of edge eliminations, by exhaustive search, for graphs of about ten vertices.

    Front elimination of (i, j) does ``c_ki += c_kj c_ji`` for all successors k of j, |S_j| multiplications; back
    elimination ``c_jk += c_ji c_ik`` for all predecessors k of i, |P_i|; both drop the edge. Vertex elimination is the
    special case of all edges of a vertex in a row, so its best order bounds the search (A*, Hart et al. 1968). After
    ``most_states`` graphs the search gives up and returns that order, not proved optimal.
    """
    start = ScalarElimination.of(graph)
    known = best_order(graph)
    origin = tuple(start.before)
    costs: dict[Predecessors, int] = {origin: 0}
    came: dict[Predecessors, tuple[Predecessors, EdgeElimination]] = {}
    done: set[Predecessors] = set()
    queue: list[tuple[int, Predecessors]] = [(0, origin)]
    while queue and len(costs) <= most_states:
        _, state = heapq.heappop(queue)
        if state in done:
            continue
        done.add(state)
        after = _turned(state)
        if not any(state[j] and after[j] for j in range(len(state))):
            return EdgeOrder(_path(came, state), costs[state], True)
        for step, price, following in _edge_eliminations(state, after, start.is_output):
            total = costs[state] + price
            if total < costs.get(following, known.cost):
                least = total + _least(following, start.is_output)
                if least < known.cost:
                    costs[following], came[following] = total, (state, step)
                    heapq.heappush(queue, (least, following))
    return EdgeOrder(_by_edges(start, known.order), known.cost, not queue)


def _least(before: Predecessors, is_output: int) -> int:
    """A lower bound of the remaining cost: one multiplication for each input and output that intermediates connect.

    Each multiplication adds to one edge, and the edge from that input to that output needs at least one.
    """
    sources: list[int] = []
    found = 0
    for j, mask in enumerate(before):
        through = 0
        for i in positions(mask):
            through |= sources[i] if before[i] else 0
        direct = sum(1 << i for i in positions(mask) if not before[i])
        sources.append(through | direct)
        if is_output >> j & 1:
            found += through.bit_count()
    return found


def _turned(before: Sequence[int]) -> list[int]:
    after = [0] * len(before)
    for j, mask in enumerate(before):
        for i in positions(mask):
            after[i] |= 1 << j
    return after


def _edge_eliminations(
    before: Predecessors, after: Sequence[int], is_output: int
) -> Iterator[tuple[EdgeElimination, int, Predecessors]]:
    """Every elimination that is possible, its cost, and what is left."""
    for j, mask in enumerate(before):
        for i in positions(mask):
            if after[j] and not is_output >> j & 1:  # an output's in-edges are part of the Jacobian
                yield ("front", i, j), after[j].bit_count(), _front(before, i, j, after[j])
            if before[i]:
                unread = after[i] == 1 << j and not is_output >> i & 1
                yield ("back", i, j), before[i].bit_count(), _back(before, i, j, unread)


def _front(before: Predecessors, i: int, j: int, successors: int) -> Predecessors:
    """What is left of the graph; j goes, too, where i was its last predecessor."""
    left = list(before)
    left[j] &= ~(1 << i)
    for k in positions(successors):
        left[k] |= 1 << i
        if not left[j]:
            left[k] &= ~(1 << j)
    return tuple(left)


def _back(before: Predecessors, i: int, j: int, unread: bool) -> Predecessors:
    """What is left of the graph; i goes, too, where j was the last to read it."""
    left = list(before)
    left[j] = before[j] & ~(1 << i) | before[i]
    if unread:
        left[i] = 0
    return tuple(left)


def _path(
    came: dict[Predecessors, tuple[Predecessors, EdgeElimination]], state: Predecessors
) -> tuple[EdgeElimination, ...]:
    steps = []
    while state in came:
        state, step = came[state]
        steps.append(step)
    return tuple(reversed(steps))


def _by_edges(start: ScalarElimination, order: Sequence[int]) -> tuple[EdgeElimination, ...]:
    """A vertex order as edge eliminations: each vertex is the back elimination of all its out-edges."""
    state, steps = start.copy(), []
    for vertex in order:
        steps += [("back", vertex, k) for k in positions(state.after[vertex])]
        state.eliminate(vertex)
    return tuple(steps)
