"""The layers of a network in figures, and the memory of a training step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from backprop_cli.execution.plan import Plan
from backprop_cli.json_object import JsonObject
from backprop_cli.nn.model import Model
from backprop_cli.training.step_program import Recipe, training_step


@dataclass(frozen=True)
class LayerFigures(JsonObject):
    """One layer. ``output_shape`` and ``multiplications`` are for one example."""

    name: str
    type: str
    inputs: Sequence[str]
    output_shape: Sequence[int]
    parameters: int
    multiplications: int


@dataclass(frozen=True)
class MemoryFigures(JsonObject):
    """Bytes of parameters and buffers, of the optimizer's slots, and of the arrays of a training step on one batch."""

    parameters: int
    optimizer: int
    plan: int
    plan_lower_bound: int


def layer_figures(model: Model) -> list[LayerFigures]:
    """The layers in the order of evaluation."""
    multiplications = model.multiplications()
    return [
        LayerFigures(
            node.name,
            node.layer.type,
            node.inputs,
            node.output_shape,
            sum(math.prod(param.shape) for param in node.params.values()),
            multiplications[node.name],
        )
        for node in model.nodes
    ]


def memory_figures(recipe: Recipe, batch: int) -> MemoryFigures:
    """The memory for a training step on a batch of ``batch`` examples."""
    plan = Plan(training_step(recipe, batch))
    sizes = {name: recipe.layout_of(name).size * recipe.model.dtype.itemsize for name in recipe.states()}
    network = sum(sizes[name] for name in recipe.network)
    return MemoryFigures(network, sum(sizes.values()) - network, plan.peak_bytes, plan.lower_bound_bytes)
