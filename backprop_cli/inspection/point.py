"""A network at given examples, with every value that has a name and can be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from backprop_cli.autodiff import Array, Value
from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.structs import Struct
from backprop_cli.training.step_program import INPUTS, LOSS, PARAMETERS, PREDICTIONS, TARGETS, WEIGHTS, Recipe, forward

OUTPUTS, OBJECTIVE = "outputs", "objective"
SCALARS = (LOSS, OBJECTIVE)
"""Means over the examples: without regularization, and with it, as training minimizes it."""


class Point(Struct, eq=False):
    """Where derivatives are taken: a network in float64 with its flat vectors (see ``State.network``), and examples.

    ``targets``: None if nothing needs them. ``weights``: None if all are 1.

    Shapes: inputs (examples, *input_shape); targets as the task has them; weights (examples,)
    """

    recipe: Recipe
    network: Mapping[str, Array]
    inputs: Array
    targets: Array | None
    weights: Array | None = None

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays of the examples by the names of the network's inputs, without those that are None."""
        named = {INPUTS: self.inputs, TARGETS: self.targets, WEIGHTS: self.weights}
        return {name: array for name, array in named.items() if array is not None}

    def copy(self) -> Point:
        """A copy that shares no array of the examples."""
        return self._with(lambda array: array.copy())

    def part(self, start: int, stop: int) -> Point:
        """The examples from ``start`` up to ``stop``, as views."""
        return self._with(lambda array: array[start:stop])

    def _with(self, change: Callable[[Array], Array]) -> Point:
        arrays = [None if array is None else change(array) for array in (self.targets, self.weights)]
        return Point(self.recipe, self.network, change(self.inputs), *arrays)


class Named:
    """A batch traced through the network, with its values by name; ``feed`` has the arrays of the inputs."""

    def __init__(self, point: Point):
        recipe, batch = point.recipe, len(point.inputs)
        traced = forward(recipe, batch, training=False)
        self.inputs = traced.inputs
        scalars = {LOSS: traced.loss, OBJECTIVE: traced.loss + traced.regularization}
        named = {OUTPUTS: traced.outputs, PREDICTIONS: traced.predictions, **scalars}
        self._of = {**traced.layers, **named}
        self._by = {**traced.layers, **traced.params, INPUTS: traced.inputs[INPUTS]}
        self._params = traced.params
        absent = {TARGETS: np.zeros(recipe.target_shape(batch), recipe.target_dtype), WEIGHTS: np.ones(batch)}
        arrays = {**point.network, **absent, **point.arrays}
        self.feed = {value: arrays[name] for name, value in traced.inputs.items()}

    def write(self, point: Point) -> None:
        """Write as many other examples into the arrays of ``feed``."""
        for name, array in point.arrays.items():
            if name in self.inputs:
                self.feed[self.inputs[name]][...] = array

    def of(self, name: str) -> Value:
        """The value that is differentiated."""
        return self._of[name]

    def by(self, name: str) -> list[Value]:
        """The values that it is differentiated by: one value, or all parameters."""
        return list(self._params.values()) if name == PARAMETERS else [self._by[name]]


def of_names(recipe: Recipe) -> list[str]:
    """Names that can be differentiated; ``predictions`` are probabilities if ``outputs`` are logits."""
    return [PREDICTIONS, OUTPUTS, *SCALARS, *(node.name for node in recipe.model.nodes)]


def by_names(recipe: Recipe) -> list[str]:
    """Names that can be differentiated by; ``parameters`` are all of them as one vector."""
    return [INPUTS, PARAMETERS, *recipe.model.params, *(node.name for node in recipe.model.nodes)]


def check_names(recipe: Recipe, of: str, by: str) -> None:
    """Raise UsageError for an unknown name."""
    for option, name, known in (("--of", of, of_names(recipe)), ("--by", by, by_names(recipe))):
        if name not in known:
            listed = ", ".join(dict.fromkeys(known))
            raise UsageError(f"{option} {name}: no such name" + (did_you_mean(name, known) or f"; known: {listed}"))


def shape_of(recipe: Recipe, name: str, batch: int | None) -> tuple[int, ...]:
    """Shape of a named value for a batch; for one example without the batch axis if ``batch`` is None."""
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
