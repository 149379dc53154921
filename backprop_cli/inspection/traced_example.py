"""A network and its loss traced on one example, with a name for every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from backprop_cli.autodiff import Value, constant, in_layer, input_, toposort
from backprop_cli.structs import Struct
from backprop_cli.training.step_program import Recipe

LOSS = "loss"


class TracedExample(Struct, eq=False):
    """A network and its loss on one example, in float64.

    ``params`` are trained, ``buffers`` are not. ``names``: all values but constants, operands first.
    """

    inputs: Value
    targets: Value
    params: Mapping[str, Value]
    buffers: Mapping[str, Value]
    outputs: Value
    loss: Value
    loss_name: str
    names: Mapping[Value, str]

    @property
    def sources(self) -> list[Value]:
        """The values that outputs are differentiated by: the example, or for tokens the vectors they look up."""
        if self.inputs.spec.is_inexact:
            return [self.inputs]
        return [value for value in self.names if any(x is self.inputs for x in value.inputs)]


def trace_example(recipe: Recipe) -> TracedExample:
    """Trace the network as it predicts: without dropout and regularization."""
    model = replace(recipe.model, dtype=np.dtype(np.float64))
    recipe = replace(recipe, model=model)
    x = input_("input", (1, *model.input_shape), model.input_dtype)
    targets = input_("targets", recipe.target_shape(1), recipe.target_dtype)
    params = {name: input_(name, param.shape) for name, param in model.params.items()}
    buffers = {name: input_(name, array.shape) for name, array in model.buffers.items()}
    outputs = model.apply({**params, **buffers}, x, None)
    weights = None if recipe.class_weights is None else constant(recipe.class_weights, model.dtype)
    with in_layer(LOSS):
        loss = recipe.cost(outputs, targets, weights)
    return TracedExample(x, targets, params, buffers, outputs, loss, recipe.loss.type, _names(loss))


def _names(loss: Value) -> dict[Value, str]:
    """``dense_1.matmul``; the second of its kind is ``dense_1.matmul_2``."""
    found: dict[Value, str] = {}
    counts: dict[str, int] = {}
    for value in toposort([loss]):
        if value.is_constant:
            continue
        name = f"{value.layer}.{value.op.kind}" if value.op is not None else str(value.name)
        counts[name] = counts.get(name, 0) + 1
        found[value] = name if counts[name] == 1 else f"{name}_{counts[name]}"
    return found
