"""Jacobians of a network at given examples: any named value by any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from backprop_cli.accumulation.batched import Batched, computed
from backprop_cli.accumulation.jacobian_graph import JacobianGraph
from backprop_cli.accumulation.jacobians import Accumulation, accumulation
from backprop_cli.autodiff import Array, Value, input_, jvp, reshape, toposort, vjp
from backprop_cli.errors import UsageError
from backprop_cli.inspection.point import Named, Point
from backprop_cli.structs import Struct
from backprop_cli.training.layout import Layout

Mode = Literal["auto", "forward", "reverse", "best"]

_MOST_NUMBERS = 1 << 27
"""Most numbers in an intermediate array of ``best`` (1 GB)."""


class AccumulatedJacobian(Struct, eq=False):
    """``matrix`` (of's elements, by's elements), and how it was accumulated.

    ``executed``: ``none`` if ``of`` does not depend on ``by``. ``costs``: the orders with their costs; None if the
    network is too large to compare them.
    """

    matrix: Array
    executed: Literal["forward", "reverse", "best", "none"]
    costs: Accumulation | None


def accumulate_jacobian(point: Point, of: str, by: str, mode: Mode = "auto") -> AccumulatedJacobian:
    """The Jacobian of one named value by another.

    ``forward`` runs many tangents at once, ``reverse`` many cotangents. ``best`` is the elimination order with the
    fewest multiplications found (see ``accumulation``), and ``auto`` the cheapest of the three.

    Raises: UsageError for ``best`` if the network is too large.
    """
    named = Named(point)
    out, wrt = named.of(of), named.by(by)
    columns = sum(w.size for w in wrt)
    graph = JacobianGraph([out], wrt)
    if not graph.live.intersection(graph.inputs.values()):
        return AccumulatedJacobian(np.zeros((out.size, columns)), "none", None)
    costs = accumulation([out], wrt) if graph.is_countable else None
    if mode == "best" or (mode == "auto" and _is_best(costs)):
        entries = _eliminated(costs)
        if entries is not None:
            parts = [part.reshape(out.size, -1) for part in computed(entries, named.feed)]
            return AccumulatedJacobian(np.concatenate(parts, axis=1), "best", costs)
        if mode == "best":
            raise UsageError(
                f"--order best: the Jacobian of {of} by {by} is too large on the way; use --order auto, fewer rows "
                "(--row) or another --by"
            )
    is_forward = mode == "forward" or (mode != "reverse" and _is_forward_cheaper(costs, out.size, columns))
    run = by_tangents if is_forward else by_cotangents
    return AccumulatedJacobian(run(out, wrt, named.feed), "forward" if is_forward else "reverse", costs)


def _eliminated(costs: Accumulation | None) -> list[Value] | None:
    """The Jacobians as program values; None if orders cannot be compared or an intermediate array is too large."""
    if costs is None:
        return None
    (entries,) = costs.jacobians()
    return entries if all(node.size <= _MOST_NUMBERS for node in toposort(entries)) else None


def _is_best(costs: Accumulation | None) -> bool:
    return costs is not None and costs.best.cost < min(costs.forward.cost, costs.reverse.cost)


def _is_forward_cheaper(costs: Accumulation | None, rows: int, columns: int) -> bool:
    return columns < rows if costs is None else costs.forward.cost < costs.reverse.cost


def by_tangents(out: Value, wrt: Sequence[Value], feed: Mapping[Value, Array]) -> Array:
    """The Jacobian (out's elements, elements of ``wrt``) in forward mode: its columns, many tangents at once."""
    layout = layout_of(wrt)
    direction = input_("tangent", (layout.size,), out.dtype)
    (image,) = jvp([out], wrt, list(layout.values(direction).values()))
    (columns,) = Batched([image], [direction], feed).units()
    return columns.reshape(layout.size, out.size).T


def by_cotangents(out: Value, wrt: Sequence[Value], feed: Mapping[Value, Array]) -> Array:
    """The Jacobian as in ``by_tangents``, in reverse mode: its rows, many cotangents at once."""
    layout = layout_of(wrt)
    direction = input_("cotangent", (out.size,), out.dtype)
    pulled = vjp([out], wrt, [reshape(direction, out.shape)])
    (rows,) = Batched([layout.join(dict(zip(layout.shapes, pulled, strict=True)))], [direction], feed).units()
    return rows


def layout_of(values: Sequence[Value]) -> Layout:
    """The layout of all ``values`` as one vector."""
    return Layout({str(k): value.shape for k, value in enumerate(values)})
