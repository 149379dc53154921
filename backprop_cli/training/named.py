"""A network at given examples, with every value that has a name and can be differentiated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from backprop_cli.autodiff import Array, Value
from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.training.program import INPUTS, LOSS, PARAMETERS, PREDICTIONS, TARGETS, Recipe, forward

OUTPUTS, OBJECTIVE = "outputs", "objective"
SCALARS = (LOSS, OBJECTIVE)
"""Means over the examples: without regularization, and with it, which is what training makes small."""


@dataclass(frozen=True, eq=False)
class Point:
    """Where derivatives are taken: a network in float64 with its flat vectors (see ``State.network``), and examples.

    Shapes: inputs (examples, *input_shape); targets as the task has them, or None where nothing needs them.
    """

    recipe: Recipe
    network: Mapping[str, Array]
    inputs: Array
    targets: Array | None

    @property
    def arrays(self) -> tuple[Array, Array | None]:
        """Inputs and targets."""
        return self.inputs, self.targets

    def copy(self) -> Point:
        """The same in arrays of its own."""
        targets = None if self.targets is None else self.targets.copy()
        return replace(self, inputs=self.inputs.copy(), targets=targets)

    def part(self, start: int, stop: int) -> Point:
        """Some of the examples."""
        targets = None if self.targets is None else self.targets[start:stop]
        return replace(self, inputs=self.inputs[start:stop], targets=targets)


class Named:
    """A batch through the network, every value under its name; ``feed`` has the arrays of the inputs."""

    def __init__(self, point: Point):
        recipe, batch = point.recipe, len(point.inputs)
        traced = forward(recipe, batch, training=False)
        self.inputs = traced.inputs
        scalars = {LOSS: traced.loss, OBJECTIVE: traced.loss + traced.regularization}
        named = {OUTPUTS: traced.outputs, PREDICTIONS: recipe.loss.activate(traced.outputs), **scalars}
        self._of = {**traced.layers, **named}
        self._by = {**traced.layers, **traced.params, INPUTS: traced.inputs[INPUTS]}
        self._params = traced.params
        targets = np.zeros(recipe.target_shape(batch), recipe.target_dtype) if point.targets is None else point.targets
        arrays = {INPUTS: point.inputs, TARGETS: targets, **point.network}
        self.feed = {traced.inputs[name]: array for name, array in arrays.items()}

    def write(self, point: Point) -> None:
        """Other examples, as many, into the arrays of ``feed``."""
        for name, array in zip((INPUTS, TARGETS), point.arrays, strict=True):
            if array is not None:
                self.feed[self.inputs[name]][...] = array

    def of(self, name: str) -> Value:
        """What is differentiated."""
        return self._of[name]

    def by(self, name: str) -> list[Value]:
        """What it is differentiated by: one value, or all parameters."""
        return list(self._params.values()) if name == PARAMETERS else [self._by[name]]


def of_names(recipe: Recipe) -> list[str]:
    """What can be differentiated; ``predictions`` are probabilities where ``outputs`` are logits."""
    return [PREDICTIONS, OUTPUTS, *SCALARS, *(node.name for node in recipe.model.nodes)]


def by_names(recipe: Recipe) -> list[str]:
    """What can be differentiated by; ``parameters`` are all of them as one vector."""
    return [INPUTS, PARAMETERS, *recipe.model.params, *(node.name for node in recipe.model.nodes)]


def check_names(recipe: Recipe, of: str, by: str) -> None:
    """Raise UsageError for a name that there is not."""
    for option, name, known in (("--of", of, of_names(recipe)), ("--by", by, by_names(recipe))):
        if name not in known:
            listed = ", ".join(dict.fromkeys(known))
            raise UsageError(f"{option} {name}: no such name" + (did_you_mean(name, known) or f"; known: {listed}"))


def shape_of(recipe: Recipe, name: str, batch: int | None) -> tuple[int, ...]:
    """Shape of a named value for a batch, or for one example (None)."""
    if name in SCALARS:
        return ()
    if name == PARAMETERS:
        return (recipe.layout.size,)
    if name in recipe.model.params:
        return recipe.model.params[name].shape
    layers = {node.name: node.output_shape for node in recipe.model.nodes}
    shapes = {**layers, OUTPUTS: recipe.model.output_shape, PREDICTIONS: recipe.model.output_shape}
    example = {**shapes, INPUTS: recipe.model.input_shape}[name]
    return example if batch is None else (batch, *example)
