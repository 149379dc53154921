"""What a new run starts from: drawn weights, or for layers that ``model.from_checkpoint`` names another run's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backprop_cli.autodiff import Array
from backprop_cli.config.load import Loaded
from backprop_cli.config.parameter_names import layers_of
from backprop_cli.errors import CheckpointError
from backprop_cli.run.checkpoint import find_checkpoint
from backprop_cli.run.checkpoint import load as load_checkpoint
from backprop_cli.training.program import Recipe
from backprop_cli.training.state import State

_LISTED = 10
"""Mismatches that a message has room for."""


def first_state(loaded: Loaded, recipe: Recipe) -> State:
    """The state before the first step of a new run.

    Raises: CheckpointError where the checkpoint to start from is missing or damaged, or does not fit the network.
    """
    state = State.start(recipe, loaded.config.seed)
    path = _path(loaded)
    if path is not None:
        own, layers = state.network_arrays(recipe), _layers(loaded, recipe)
        wanted = [name for name in own if name.rpartition(".")[0] in layers]
        given = load_checkpoint(path).tensors
        faults = list(_faults({name: own[name] for name in wanted}, given))
        if faults:
            more = [f"and {len(faults) - _LISTED} more"] if len(faults) > _LISTED else []
            listed = "; ".join([*faults[:_LISTED], *more])
            way_out = "name the layers to start from it in model.from_checkpoint.layers"
            raise CheckpointError(f"{path}: does not fit the network: {listed}; {way_out}")
        for name in wanted:
            own[name][...] = given[name]
    return state


def origin(loaded: Loaded, recipe: Recipe) -> dict[str, Any] | None:
    """What run.json says of the checkpoint that a run started from: the file, and the layers that are its."""
    path = _path(loaded)
    if path is None:
        return None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"path": str(path.resolve()), "sha256": digest, "layers": _layers(loaded, recipe)}


def _path(loaded: Loaded) -> Path | None:
    settings = loaded.config.model.from_checkpoint
    return None if settings is None else find_checkpoint(loaded.base / settings.path)


def _layers(loaded: Loaded, recipe: Recipe) -> list[str]:
    """The layers that have something to take: those with parameters or buffers of their own."""
    settings = loaded.config.model.from_checkpoint
    patterns = None if settings is None else settings.layers
    holders = {node.name for node in recipe.model.nodes if node.params or node.buffers}
    return [name for name in layers_of(recipe.model, patterns) if name in holders]


def _faults(own: Mapping[str, Array], given: Mapping[str, Array]) -> Iterator[str]:
    for name, array in own.items():
        if name not in given:
            yield f"{name} is missing"
        elif given[name].shape != array.shape:
            yield f"{name} is {list(given[name].shape)}, expected {list(array.shape)}"
