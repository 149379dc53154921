"""Costs of a network's derivatives: multiplications for one example, and memory for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from backprop_cli.accumulation.jacobians import Accumulation, gradient_costs
from backprop_cli.execution.recomputation import revolve_steps, segmented, stages
from backprop_cli.inspection.traced_example import TracedExample
from backprop_cli.json_object import JsonObject
from backprop_cli.training.step_program import Recipe, forward


class AccumulationCosts(JsonObject):
    """Costs of a Jacobian, in multiplications for one example."""

    json_optional: ClassVar = ("limit",)

    of: str
    """The Jacobian: ``outputs by inputs``."""
    forward: int
    """Multiplications in forward mode."""
    reverse: int
    """Multiplications in reverse mode."""
    best: int
    """Multiplications in the cheapest order found."""
    best_order: Sequence[str]
    """The order in which values are eliminated; those that only reorder elements are left out."""
    proved_optimal: bool
    """Whether no order is cheaper."""
    method: str
    """The search that found the order."""
    limit: int | None
    """Most intermediate values for which ``best`` is sought, if the network has more."""


class GradientCosts(JsonObject):
    """Costs of the gradient of the loss by all parameters, for one example."""

    forward: int
    """Multiplications in forward mode."""
    reverse: int
    """Multiplications in reverse mode."""


class LayerMemory(JsonObject):
    """Memory of one layer for reverse mode."""

    layer: str
    """The layer, or ``loss``."""
    bytes: int
    """Bytes of its forward results that the gradient reads."""


class Recomputation(JsonObject):
    """The effect of ``training.recompute``."""

    segments: int
    """Number of segments."""
    bytes: int
    """Bytes that are kept."""
    layers_again: int
    """Number of layers that run forward twice."""


class RevolveSchedule(JsonObject):
    """The cost of keeping only a few layer outputs."""

    checkpoints: int
    """Number of layer outputs that are kept."""
    forward_steps: int
    """Number of layers that run forward again."""


class MemoryCosts(JsonObject):
    """Memory that reverse mode needs for a batch."""

    batch: int
    """Number of examples."""
    layers: Sequence[LayerMemory]
    """Memory by layer."""
    kept: int
    """Bytes in all, without recomputation."""
    recompute: Recomputation
    """With recomputation in segments."""
    revolve: Sequence[RevolveSchedule]
    """With only a few outputs kept."""


def accumulation_costs(traced: TracedExample, found: Accumulation) -> AccumulationCosts:
    """The costs of an accumulation, with names for its values."""
    sources = ("inputs" if source is traced.inputs else str(source.layer) for source in traced.sources)
    return AccumulationCosts(
        of=f"outputs by {' and '.join(sources)}",
        forward=found.forward.cost,
        reverse=found.reverse.cost,
        best=found.best.cost,
        best_order=[traced.names[found.graph.values[vertex]] for vertex in found.best.order],
        proved_optimal=found.best.proved_optimal,
        method=found.best.method,
        limit=found.limit,
    )


def costs_of_gradient(traced: TracedExample) -> GradientCosts:
    """The costs in forward and in reverse mode."""
    return GradientCosts(*gradient_costs(traced.loss, list(traced.params.values())))


def memory_costs(recipe: Recipe, batch: int) -> MemoryCosts:
    """The memory that the gradient of a batch needs, by layer; and with recomputation."""
    traced = forward(recipe, batch, training=True)
    parts = stages(traced.loss + traced.regularization, list(traced.params.values()))
    best = segmented(parts)
    count = len([part for part in parts if part.read])
    again = sum(bool(part.read) for segment in best.segments[:-1] for part in segment)
    checkpoints = sorted({2, 3, 5, 10} & set(range(1, count)))
    return MemoryCosts(
        batch=batch,
        layers=[LayerMemory(part.layer or "loss", part.bytes) for part in parts if part.read],
        kept=sum(part.bytes for part in parts),
        recompute=Recomputation(len(best.segments), best.bytes, again),
        revolve=[RevolveSchedule(c, revolve_steps(count, c)) for c in checkpoints],
    )
