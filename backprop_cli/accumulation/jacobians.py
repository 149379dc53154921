"""Jacobians of a program in a cheap order, and the cost of their derivatives in forward, reverse and better orders.

The vertices are the program's values. An edge is the local Jacobian of an op by an operand, with its structure.
Eliminating a vertex multiplies its out-edges with its in-edges. Costs are the multiplications of these products of
sparse matrices; entries that are 1 or -1 by construction (views, sums, additions) are free. For values of one element
and without free entries, this is the scalar model of ``elimination``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from backprop_cli.accumulation.chain_order import cheapest_chain_order
from backprop_cli.accumulation.jacobian_graph import BlockElimination, JacobianGraph, eliminate
from backprop_cli.accumulation.jacobian_map import JacobianMap, added, composed
from backprop_cli.accumulation.orders import (
    Group,
    Order,
    annealed,
    cheapest,
    exhaustive,
    forward_order,
    markowitz,
    order_cost,
    reverse_order,
    ungrouped,
)
from backprop_cli.autodiff.evaluate import evaluate
from backprop_cli.autodiff.families import broadcast, reshaped
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value, constant
from backprop_cli.execution.passes import simplified
from backprop_cli.structs import Struct

Direction = Literal["auto", "forward", "reverse"]

MOST_EXHAUSTIVE = 10
"""Most vertices of a graph, other than a chain, for which all orders are tried."""
MOST_SEARCHED = 150
"""Most vertices of a graph for which an order better than forward and reverse is searched."""
MOST_BRACKETED = 500
"""Most vertices of a chain for the same search, which takes 0.1 s for 140 vertices, 0.5 s for 300, 2 s for 600."""


class Accumulation(Struct):
    """The Jacobians of outputs by inputs as a graph, and its elimination orders with their costs in multiplications.

    ``best.order`` has the vertices that take work to eliminate, ``free`` those that only permute elements. ``limit``:
    None if an order better than forward and reverse was searched, else the number of vertices above which it is not.
    """

    graph: JacobianGraph
    forward: Order
    reverse: Order
    best: Order
    free: tuple[int, ...]
    limit: int | None = None

    def order(self, direction: Direction) -> tuple[int, ...]:
        """All vertices in the order named by ``direction``."""
        chosen = {"auto": self.best, "forward": self.forward, "reverse": self.reverse}[direction]
        return (*self.free, *chosen.order)

    def jacobians(self, direction: Direction = "auto") -> list[list[Value]]:
        """The Jacobian of each output by each of ``wrt``, accumulated in the order named by ``direction``."""
        return _eliminated(self.graph, self.order(direction))


def accumulation(outputs: Sequence[Value], wrt: Sequence[Value], *, budget: int = 500, seed: int = 0) -> Accumulation:
    """Find a cheap order for the Jacobians of ``outputs`` by ``wrt``.

    A chain is solved exactly by dynamic programming, another graph exactly up to ten vertices. Larger graphs get the
    cheapest of forward, reverse, Markowitz and ``budget`` moves of annealing. A chain of more than ``MOST_BRACKETED``
    vertices and a graph of more than ``MOST_SEARCHED`` get the cheaper of forward and reverse.
    """
    graph = JacobianGraph(outputs, wrt)
    start = graph.blocks()
    free = tuple(start.free())
    ways = {"forward": forward_order(start), "reverse": reverse_order(start)}
    costs = {name: Order(order, order_cost(start, order), name, False) for name, order in ways.items()}
    most = MOST_BRACKETED if _is_chain(start) else MOST_SEARCHED
    if len(start.vertices) <= most:
        best = _best(start, ways, budget, seed)
        return Accumulation(graph, costs["forward"], costs["reverse"], best, free)
    best = min(costs["forward"], costs["reverse"], key=lambda way: way.cost)
    best = best._replace(proved_optimal=best.cost == 0)
    return Accumulation(graph, costs["forward"], costs["reverse"], best, free, None if best.cost == 0 else most)


def _best(start: BlockElimination, ways: Mapping[str, tuple[int, ...]], budget: int, seed: int) -> Order:
    found = cheapest(start, {**ways, "markowitz": markowitz(start)})
    if found.proved_optimal:
        return found
    if _is_chain(start):
        return _improved(found, start, cheapest_chain_order(start), "bracketing", proved=True)
    groups: list[Group] = [(vertex,) for vertex in found.order]
    if len(groups) <= MOST_EXHAUSTIVE:
        best = exhaustive(start, groups, found.cost)
        order = found.order if best is None else ungrouped(best)
        return _improved(found, start, order, "exhaustive search", proved=True)
    order = ungrouped(annealed(start, groups, seed=seed, budget=budget))
    return _improved(found, start, order, "annealing", proved=False)


def _improved(found: Order, start: BlockElimination, order: tuple[int, ...], method: str, proved: bool) -> Order:
    cost = order_cost(start, order)
    return Order(order, cost, method, proved) if cost < found.cost else found._replace(proved_optimal=proved)


def _is_chain(start: BlockElimination) -> bool:
    between = start.vertices
    joints = all(len(start.before[j]) == len(start.after[j]) == 1 for j in between)
    return joints and sum(map(len, start.before)) == len(between) + 1


def gradient_costs(scalar: Value, wrt: Sequence[Value]) -> tuple[int, int]:
    """Multiplications of the derivatives of a scalar by ``wrt``: (forward, reverse).

    Reverse is one pass over the local Jacobians. Forward is one pass for each element of ``wrt``, over those that
    depend on it.
    """
    graph = JacobianGraph([scalar], wrt)
    costs = graph.costs_of_vertices()
    return sum(cost * size for cost, size in zip(costs, graph.sizes_behind(), strict=True)), sum(costs)


def jacobians(outputs: Sequence[Value], wrt: Sequence[Value], order: Direction = "auto") -> list[list[Value]]:
    """The Jacobian of each of ``outputs`` by each of ``wrt``, of shape (*output.shape, *w.shape), as more program.

    ``auto``: the cheapest order found. ``forward`` and ``reverse``: the order of evaluation and its opposite, which are
    forward and reverse mode with all tangents, or cotangents, at once.

    Raises: ShapeError if one of ``wrt`` is an integer.
    """
    graph = JacobianGraph(outputs, wrt)
    if not graph.is_countable:
        fewer = sum(out.size for out in outputs) < sum(w.size for w in wrt)
        both = order == "reverse" or (order == "auto" and fewer)
        sequence = sorted({j for edge in graph.locals for j in edge} - set(graph.inputs.values()), reverse=both)
        return _eliminated(graph, [j for j in sequence if j not in graph.results.values()])
    return accumulation(outputs, wrt).jacobians(order)


def _eliminated(graph: JacobianGraph, order: Sequence[int]) -> list[list[Value]]:
    """Eliminate the vertices in this order, on the maps of the edges."""
    before: list[dict[int, JacobianMap]] = [{} for _ in graph.values]
    after: list[set[int]] = [set() for _ in graph.values]
    for (i, j), how in graph.maps.items():
        if j in graph.live:
            before[j][i] = how
            after[i].add(j)
    outputs = set(graph.results.values())
    for vertex in order:
        eliminate(vertex, before, after, outputs, _joined)
    return [[_entry(graph, before, out, w) for w in graph.wrt] for out in graph.outputs]


def _joined(present: JacobianMap | None, outer: JacobianMap, inner: JacobianMap) -> JacobianMap:
    product = composed(outer, inner)
    return product if present is None else added(present, product)


def _entry(graph: JacobianGraph, before: Sequence[Mapping[int, JacobianMap]], out: Value, w: Value) -> Value:
    shape = (*out.shape, *w.shape)
    row = graph.results[out]
    found = before[row].get(graph.inputs[w]) if row >= 0 else None
    return broadcast(constant(0, w.dtype), shape) if found is None else reshaped(found.matrix(), shape)


def accumulate(
    outputs: Sequence[Value], inputs: Sequence[Value], feed: Mapping[Value, Array], order: Direction = "auto"
) -> list[list[Array]]:
    """``jacobians`` as arrays, evaluated at ``feed``."""
    rows = jacobians(outputs, inputs, order)
    arrays = evaluate(simplified([entry for row in rows for entry in row]), feed)
    width = len(inputs)
    return [arrays[start : start + width] for start in range(0, len(arrays), width)] if width else [[] for _ in rows]
