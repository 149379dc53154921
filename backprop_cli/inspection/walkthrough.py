"""The chain rule in numbers: one training example forward and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backprop_cli.autodiff import Array, Value, evaluate, gradients
from backprop_cli.config.load import Loaded
from backprop_cli.inspection.symbols import Symbols
from backprop_cli.inspection.traced_example import TracedExample
from backprop_cli.json_object import JsonObject
from backprop_cli.session.experiment import load
from backprop_cli.session.initial_state import initial_state
from backprop_cli.session.trained_network import TrainedNetwork
from backprop_cli.training.step_program import BUFFERS, PARAMETERS, Recipe


class SymbolValue(JsonObject):
    """A symbol with its value."""

    symbol: str
    """The symbol."""
    value: Any
    """Its array, as nested lists."""


class Walkthrough(JsonObject):
    """One example walked forward and back."""

    forward: Sequence[SymbolValue]
    """Inputs, parameters and variables."""
    backward: Sequence[SymbolValue]
    """Derivatives of the loss, from the loss back."""


def walk(names: Symbols, feed: Mapping[Value, Array]) -> Walkthrough:
    """Compute every variable forward, then the derivative of the loss by each variable and parameter."""
    traced = names.traced
    given = [traced.inputs, traced.targets, *traced.params.values()]
    variables = dict(zip(names.variables, evaluate(names.variables, feed), strict=True))
    wrt = [*reversed(names.variables[:-1]), *traced.params.values()]
    derivatives = zip(wrt, evaluate(gradients(traced.loss, wrt), feed), strict=True)
    forward = {value: feed[value] for value in given} | variables
    return Walkthrough(
        [SymbolValue(names.symbols[value], array.tolist()) for value, array in forward.items()],
        [SymbolValue(f"dL/d{names.symbols[value]}", array.tolist()) for value, array in derivatives],
    )


def first_example(
    loaded: Loaded, recipe: Recipe, traced: TracedExample, saved: TrainedNetwork | None
) -> dict[Value, Array]:
    """The first training example and the weights, in float64. ``saved``: None for the initial weights."""
    data = load(loaded)
    vectors = initial_state(loaded, recipe, data).network if saved is None else saved.vectors
    feed = {
        value: recipe.layout_of(vector).arrays(np.asarray(vectors[vector], np.float64))[name]
        for vector, values in ((PARAMETERS, traced.params), (BUFFERS, traced.buffers))
        for name, value in values.items()
    }
    feed[traced.inputs] = np.asarray(data.train.inputs[:1], traced.inputs.dtype)
    feed[traced.targets] = np.asarray(data.train.targets[:1], traced.targets.dtype)
    return feed
