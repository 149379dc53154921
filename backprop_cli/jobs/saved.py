"""Checkpoints as networks: what is written into one, and what is made of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backprop_cli.config.load import Loaded, from_tree
from backprop_cli.config.network import check_model
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.data.transform import Transform
from backprop_cli.errors import BpError, CheckpointError
from backprop_cli.jobs.network import Prepared, recipe_for
from backprop_cli.jobs.threads import blas_threads
from backprop_cli.run.checkpoint import Checkpoint
from backprop_cli.run.checkpoint import load as load_checkpoint
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.program import Recipe
from backprop_cli.training.state import State


@dataclass(frozen=True)
class Saved:
    """A network with its weights, and all that its data went through: the files are not needed."""

    path: Path
    loaded: Loaded
    recipe: Recipe
    state: State
    transform: Transform
    classes: list[Any] | None
    target_names: list[str] | None
    checkpoint: Checkpoint

    def evaluator(self) -> Evaluator:
        """Runs the network, with the configured metrics."""
        to_unit = self.transform.untransform_targets
        return Evaluator(self.recipe, self.state.parameters, self.loaded.config.metrics, to_unit)

    def threads(self) -> AbstractContextManager[None]:
        """As many BLAS threads as it was trained with: a sum in another order has other bits."""
        return blas_threads(int(self.checkpoint.metadata["threads"]))


def network_metadata(prepared: Prepared, threads: int) -> dict[str, Any]:
    """What eval, predict, gradcheck and a resumed run need beside the state; the same for all checkpoints of a run."""
    dataset, recipe = prepared.dataset, prepared.recipe
    weights = recipe.class_weights
    return {
        "config": resolved_tree(prepared.loaded),
        "input_shape": list(recipe.model.input_shape),
        "classes": dataset.classes,
        "class_weights": None if weights is None else weights.tolist(),
        "target_names": dataset.target_names,
        "transform": dataset.transform.to_json(),
        "threads": threads,
    }


def open_saved(path: Path, overrides: Sequence[str] = ()) -> Saved:
    """The network of the checkpoint file ``path``, with its weights.

    Raises:
        CheckpointError: the file is missing, damaged, or not what its configuration says.
        ConfigError: an override does not fit.

    """
    checkpoint = load_checkpoint(path)
    metadata = checkpoint.metadata
    _require(path, metadata)
    loaded = from_tree(metadata["config"], overrides, base=Path(), label=str(path))
    model = check_model(loaded, tuple(metadata["input_shape"]))
    weights = metadata["class_weights"]
    recipe = recipe_for(loaded, model, None if weights is None else np.array(weights))
    state = State.start(recipe, loaded.config.seed)
    state.restore(recipe, checkpoint.tensors, None, str(path))
    try:
        transform = Transform.from_json(metadata["transform"])
    except (BpError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the fitted transform in it cannot be read: {error}") from error
    return Saved(path, loaded, recipe, state, transform, metadata["classes"], metadata["target_names"], checkpoint)


def _require(path: Path, metadata: Mapping[str, Any]) -> None:
    wanted = ("config", "input_shape", "classes", "class_weights", "target_names", "transform", "threads", "state")
    missing = [name for name in wanted if name not in metadata]
    if missing:
        raise CheckpointError(f"{path}: is not a checkpoint of a run: its metadata has no {', '.join(missing)}")
