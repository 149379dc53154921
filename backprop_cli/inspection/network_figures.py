"""The layers of a network in figures, and the memory of a training step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from backprop_cli.execution.plan import Plan
from backprop_cli.json_object import JsonObject
from backprop_cli.nn.model import Model
from backprop_cli.training.step_program import Recipe, training_step


class LayerFigures(JsonObject):
    """One layer."""

    name: str
    """Name of the layer, such as ``dense_1``."""
    type: str
    """Type of the layer, such as ``dense``."""
    inputs: Sequence[str]
    """Names of the layers that it reads; ``input`` is the example."""
    output_shape: Sequence[int]
    """Shape of its output for one example."""
    parameters: int
    """Number of its own parameters."""
    multiplications: int
    """Multiplications of its forward pass for one example."""


class MemoryFigures(JsonObject):
    """Memory of a network, in bytes."""

    parameters: int
    """Bytes of parameters and buffers."""
    optimizer: int
    """Bytes of the optimizer's slots."""
    plan: int
    """Bytes of the arrays of a training step on one batch."""
    plan_lower_bound: int
    """Largest number of bytes that are in use at once: no plan needs fewer."""


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
