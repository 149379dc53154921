"""The Jacobian of outputs by inputs as a product with brackets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backprop_cli.accumulation.jacobians import Accumulation
from backprop_cli.autodiff import Value

_MOST_FACTORS = 40
"""Products with more factors are not written out."""


def bracketed_product(found: Accumulation, symbols: Mapping[Value, str]) -> str | None:
    """The product of a chain of Jacobians in the best order found: ``dz2/da1 · (da1/dz1 · dz1/dx)``.

    None if the graph is not a chain, or the product is too long to read.
    """
    graph = found.graph
    if len(found.best.order) >= _MOST_FACTORS:
        return None
    left = [*graph.inputs.values(), *sorted(found.best.order), *graph.results.values()]
    values = [graph.values[vertex] for vertex in left]
    if any(value not in symbols for value in values) or len(set(values)) != len(values):
        return None
    operands: dict[int, list[int]] = {}
    for i, j in graph.locals:
        operands.setdefault(j, []).append(i)
    before = {k: _before(operands, k, set(left)) for k in left}
    if any(len(sources) > 1 for sources in before.values()):
        return None
    label = {(i, k): f"d{symbols[graph.values[k]]}/d{symbols[graph.values[i]]}" for k in left for i in before[k]}
    for vertex in found.best.order:
        ((i, _),) = [edge for edge in label if edge[1] == vertex]
        ((_, k),) = [edge for edge in label if edge[0] == vertex]
        label[i, k] = f"({label.pop((vertex, k))} · {label.pop((i, vertex))})"
    (product,) = label.values()
    return product.removeprefix("(").removesuffix(")") if found.best.order else product


def _before(operands: Mapping[int, Sequence[int]], vertex: int, named: set[int]) -> set[int]:
    """The named vertices that a vertex depends on, through vertices without a symbol."""
    sources: set[int] = set()
    for i in operands.get(vertex, ()):
        sources |= {i} if i in named else _before(operands, i, named)
    return sources
