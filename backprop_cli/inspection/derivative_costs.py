"""Costs of a network's derivatives: multiplications for one example, and memory for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from backprop_cli.accumulation.jacobians import Accumulation, gradient_costs
from backprop_cli.execution.recomputation import revolve_steps, segmented, stages
from backprop_cli.inspection.traced_example import TracedExample
from backprop_cli.json_object import JsonObject
from backprop_cli.training.step_program import Recipe, forward


@dataclass(frozen=True)
class AccumulationCosts(JsonObject):
    """Multiplications for the Jacobian ``of``, in each order. ``limit``: most values for which ``best`` is sought."""

    json_optional: ClassVar = ("limit",)

    of: str
    forward: int
    reverse: int
    best: int
    best_order: Sequence[str]
    proved_optimal: bool
    method: str
    limit: int | None


@dataclass(frozen=True)
class GradientCosts(JsonObject):
    """Multiplications for the gradient of the loss by all parameters."""

    forward: int
    reverse: int


@dataclass(frozen=True)
class LayerMemory(JsonObject):
    """Bytes of a layer's forward results that its gradient reads."""

    layer: str
    bytes: int


@dataclass(frozen=True)
class Recomputation(JsonObject):
    """The effect of ``training.recompute``: bytes kept, and layers that run forward twice."""

    segments: int
    bytes: int
    layers_again: int


@dataclass(frozen=True)
class RevolveSchedule(JsonObject):
    """Layers that run forward again if only this number of ``checkpoints`` is kept."""

    checkpoints: int
    forward_steps: int


@dataclass(frozen=True)
class MemoryCosts(JsonObject):
    """Memory that reverse mode needs for a batch; ``kept``: bytes without recomputation."""

    batch: int
    layers: Sequence[LayerMemory]
    kept: int
    recompute: Recomputation
    revolve: Sequence[RevolveSchedule]


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
