"""The initial state of a run: random weights, except for layers that ``model.from_checkpoint`` takes from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from backprop_cli.autodiff import Array
from backprop_cli.config.load import Loaded
from backprop_cli.config.parameter_names import layers_of, matches_layer
from backprop_cli.data.examples import Dataset
from backprop_cli.errors import CheckpointError, Problem
from backprop_cli.run.checkpoint import find_checkpoint
from backprop_cli.run.checkpoint import load as load_checkpoint
from backprop_cli.training.fitting import fit_layers
from backprop_cli.training.state import State, of_network
from backprop_cli.training.step_program import Recipe

_LISTED = 10
"""Maximum number of mismatches in a message."""


class StartError(CheckpointError):
    """The checkpoint in ``model.from_checkpoint`` cannot be used; ``problem`` has the place of its path."""

    def __init__(self, problem: Problem):
        self.problem = problem
        super().__init__(str(problem))

    def describe(self) -> list[dict[str, Any]]:
        """The problem with its place."""
        return [self.problem.describe()]


def initial_state(loaded: Loaded, recipe: Recipe, dataset: Dataset | None = None) -> State:
    """The state before the first step of a new run. ``dataset``: its training data, if known.

    Raises: StartError if the checkpoint to start from is missing or damaged, or does not fit network or data.
    """
    state = State.start(recipe, loaded.config.seed)
    if dataset is not None:
        fit_layers(recipe.model, state.network_arrays(recipe), dataset.train, loaded.config.seed)
    if loaded.config.model.from_checkpoint is not None:
        try:
            _copy_layers(loaded, recipe, state, dataset)
        except CheckpointError as error:
            raise StartError(loaded.problem(("model", "from_checkpoint", "path"), str(error))) from error
    return state


def _copy_layers(loaded: Loaded, recipe: Recipe, state: State, dataset: Dataset | None) -> None:
    path, patterns, layers = _path(loaded), _patterns(loaded), _layers(loaded, recipe)
    assert path is not None
    arrays = state.network_arrays(recipe)
    nodes = [node for node in recipe.model.nodes if node.name in layers]
    own = {
        name: arrays[name] for node in nodes for name in (f"{node.name}.{key}" for key in (*node.params, *node.buffers))
    }
    checkpoint = load_checkpoint(path)
    given = of_network(checkpoint.tensors, arrays)
    if patterns is not None:
        given = {name: array for name, array in given.items() if matches_layer(name, patterns)}
    mismatches = [*_mismatches(own, given), *_other_meaning(recipe, layers, checkpoint.metadata, dataset)]
    if mismatches:
        more = [f"and {len(mismatches) - _LISTED} more"] if len(mismatches) > _LISTED else []
        listed = "; ".join([*mismatches[:_LISTED], *more])
        way_out = "name the layers to start from it in" if patterns is None else "leave these out of"
        raise CheckpointError(f"{path}: does not fit the network: {listed}; {way_out} model.from_checkpoint.layers")
    for name, array in own.items():
        array[...] = given[name]


def origin(loaded: Loaded, recipe: Recipe) -> dict[str, Any] | None:
    """The entry in run.json on the checkpoint to start from: its file, and the layers taken from it."""
    path = _path(loaded)
    if path is None:
        return None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"path": str(path.resolve()), "sha256": digest, "layers": _layers(loaded, recipe)}


def _path(loaded: Loaded) -> Path | None:
    settings = loaded.config.model.from_checkpoint
    return None if settings is None else find_checkpoint(loaded.base / settings.path)


def _patterns(loaded: Loaded) -> Sequence[str] | None:
    settings = loaded.config.model.from_checkpoint
    return None if settings is None else settings.layers


def _layers(loaded: Loaded, recipe: Recipe) -> list[str]:
    """The layers to copy: those with parameters or buffers of their own."""
    holders = {node.name for node in recipe.model.nodes if node.params or node.buffers}
    return [name for name in layers_of(recipe.model, _patterns(loaded)) if name in holders]


def _other_meaning(
    recipe: Recipe, layers: Sequence[str], metadata: Mapping[str, Any], dataset: Dataset | None
) -> Iterator[str]:
    """A mismatch for each layer whose rows stand for other tokens or classes in the checkpoint than here."""
    if dataset is None:
        return
    here, stored = dataset.classes or (), metadata.get("classes")
    there = stored if isinstance(stored, list) else ()
    kind = "classes" if dataset.transform.text is None else "tokens"
    numbers = range(min(len(here), len(there)))
    number = next((each for each in numbers if here[each] != there[each]), None)
    if number is None:
        return
    nodes = recipe.model.nodes
    for node in nodes:
        if node.name in layers and (node.layer.vocabulary is not None or node is nodes[-1]):
            yield f"{node.name} is for other {kind}: number {number} is {there[number]!r} there, {here[number]!r} here"


def _mismatches(own: Mapping[str, Array], given: Mapping[str, Array]) -> Iterator[str]:
    for name, array in own.items():
        if name not in given:
            yield f"{name} is missing"
        elif given[name].shape != array.shape:
            yield f"{name} is {list(given[name].shape)}, expected {list(array.shape)}"
    yield from (f"{name} is not in the network" for name in given if name not in own)
