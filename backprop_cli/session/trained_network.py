"""Checkpoints as networks: what is written into one, and what is made of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.config.changes import changes
from backprop_cli.config.configuration import Config
from backprop_cli.config.load import Loaded, from_tree
from backprop_cli.config.locate import in_file_order
from backprop_cli.config.network_problems import check_model
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.data.fitted import check_fitted
from backprop_cli.data.transform import Transform
from backprop_cli.errors import BpError, CheckpointError, ConfigError, Problem, warn
from backprop_cli.nn.model import Model
from backprop_cli.run.checkpoint import Checkpoint
from backprop_cli.run.checkpoint import load as load_checkpoint
from backprop_cli.session.checked_plugins import stand_in
from backprop_cli.session.data_changes import ACCEPTED, FIRST, data_metadata
from backprop_cli.session.experiment import Experiment, recipe_for
from backprop_cli.session.threads import TOO_MANY, blas_threads
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.state import State
from backprop_cli.training.step_program import Recipe
from backprop_cli.visible import shortened


@dataclass(frozen=True)
class TrainedNetwork:
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
        untransform = self.transform.untransform_targets
        return Evaluator(self.recipe, self.state.network, self.loaded.config.metrics, untransform)

    def threads(self) -> AbstractContextManager[None]:
        """As many BLAS threads as it was trained with: a sum in another order has other bits."""
        return blas_threads(int(self.checkpoint.metadata["threads"]))


def network_metadata(experiment: Experiment, threads: int, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What eval, predict, gradcheck and a resumed run need besides the state; the same in all checkpoints of a session.

    ``before``: the metadata of the checkpoint that training resumes from.
    """
    dataset, recipe = experiment.dataset, experiment.recipe
    weights = recipe.class_weights
    return {
        "config": resolved_tree(experiment.loaded),
        "input_shape": list(recipe.model.input_shape),
        "classes": dataset.classes,
        "class_weights": None if weights is None else weights.tolist(),
        "target_names": dataset.target_names,
        "transform": dataset.transform.to_json(),
        "threads": threads,
        **data_metadata(dataset.files, before),
        "plugins": [plugin.sha256 for plugin in experiment.loaded.plugins],
    }


@dataclass(frozen=True)
class Stored:
    """A checkpoint and its configuration: ``original`` as it is in the file, ``loaded`` with overrides."""

    path: Path
    checkpoint: Checkpoint
    original: Loaded
    loaded: Loaded
    model: Model
    """as ``original`` says"""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.checkpoint.metadata["input_shape"])

    @property
    def configs(self) -> tuple[Config, Config]:
        """``original`` and ``loaded``; an input shape that is not written is that of the data."""
        return _with_input(self.original.config, self.input_shape), _with_input(self.loaded.config, self.input_shape)

    def other_network(self) -> list[Problem]:
        """Overrides that make another network of the one that has learned the weights, though they fit its shapes."""
        refused = (change for change in changes(*self.configs) if change.rule.effect == "refused")
        return [
            self.loaded.problem(each.path, f"{each}; leave it out, or start a new run")
            for each in refused
            if each.path[0] == "model"
        ]


def _with_input(config: Config, shape: tuple[int, ...]) -> Config:
    return config.model_copy(update={"model": config.model.model_copy(update={"input": config.model.input or shape})})


def read_stored(path: Path, overrides: Sequence[str] = (), plugins: Sequence[Path | str] = ()) -> Stored:
    """What the checkpoint file ``path`` says of its network. The code it needs is run from the files ``plugins`` only.

    Raises:
        UsageError: it needs a plugin that is not given.
        CheckpointError: the file is missing, damaged, or does not hold what a run writes.
        ConfigError: an override does not fit.

    """
    checkpoint = load_checkpoint(path)
    metadata = {"plugins": [], ACCEPTED: [], **checkpoint.metadata}
    _require(path, metadata)
    names = metadata["config"].get("plugins", [])
    if not _is_list_of(str)(names):
        raise _misshapen(path, "config.plugins", "names of files", names)
    needed = dict(zip(names, metadata["plugins"], strict=False))
    guests = stand_in(path, needed, plugins)
    try:
        original = from_tree(metadata["config"], base=Path(), label=str(path), plugins=guests)
        model = check_model(original, tuple(metadata["input_shape"]))
    except ConfigError as error:
        found = "; ".join(f"{problem.path}: {problem.reason}" for problem in error.problems[:3])
        raise CheckpointError(f"{path}: the configuration in it is wrong: {found}; use another checkpoint") from error
    loaded = original
    if overrides:
        loaded = from_tree(metadata["config"], overrides, base=Path(), label=str(path), plugins=guests)
    return Stored(path, checkpoint, original, loaded, model)


def open_network(
    path: Path, overrides: Sequence[str] = (), plugins: Sequence[Path | str] = (), as_trained: bool = False
) -> TrainedNetwork:
    """The network of the checkpoint file ``path``, with its weights. ``plugins``: files with code that it needs.

    Overrides that make another network of it are warned of, or refused where it must be ``as_trained``.

    Raises:
        UsageError: it needs a plugin that is not given.
        CheckpointError: the file is missing, damaged, or not what its configuration says.
        ConfigError: an override does not fit.

    """
    stored = read_stored(path, overrides, plugins)
    metadata, loaded = stored.checkpoint.metadata, stored.loaded
    model = check_model(loaded, stored.input_shape) if overrides else stored.model
    recipe = recipe_for(loaded, model, class_weights_of(path, metadata, model))
    state = State.start(recipe, loaded.config.seed)
    state.restore(recipe, stored.checkpoint.tensors, None, str(path))
    transform = transform_of(path, metadata)
    _check_outputs(path, metadata, transform, stored)
    others = stored.other_network() if overrides else []
    if others and as_trained:
        raise ConfigError(in_file_order(others, loaded.overrides))
    for problem in others:
        warn(str(problem))
    return TrainedNetwork(
        path, loaded, recipe, state, transform, metadata["classes"], metadata["target_names"], stored.checkpoint
    )


def class_weights_of(path: Path, metadata: Mapping[str, Any], model: Model) -> Array | None:
    """The weights of the classes that the checkpoint ``path`` was trained with; None: all the same.

    Raises: CheckpointError unless there is one for each output, and the network's precision holds it.
    """
    weights, outputs = metadata["class_weights"], model.output_shape[-1]
    if weights is None:
        return None
    if len(weights) != outputs:
        raise _misshapen(path, "class_weights", f"{outputs} numbers", weights)
    most = float(np.finfo(model.dtype).max)
    if not all(0 <= weight <= most for weight in weights):
        raise _misshapen(path, "class_weights", f"numbers from 0 to {most:.2g}", weights)
    return np.array(weights, dtype=np.float64)


def transform_of(path: Path, metadata: Mapping[str, Any]) -> Transform:
    """The transform that was fitted for the checkpoint ``path``. Raises: CheckpointError if it is damaged."""
    try:
        transform = Transform.from_json(metadata["transform"])
        check_fitted(transform)
    except (BpError, KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{path}: the fitted transform in it cannot be read ({reason}); use another checkpoint"
        ) from error
    if list(transform.input_shape) != metadata["input_shape"]:
        raise CheckpointError(
            f"{path}: the fitted transform in it makes inputs of shape {list(transform.input_shape)}, its network "
            f"reads {metadata['input_shape']}; use another checkpoint"
        )
    return transform


def _check_outputs(path: Path, metadata: Mapping[str, Any], transform: Transform, stored: Stored) -> None:
    """Refuse a transform whose targets do not match the network's outputs. Raises: CheckpointError."""
    for name, here in (("classes", transform.classes), ("target_names", transform.target_names)):
        if metadata[name] != here:
            raise _misshapen(path, name, f"those of its transform, {shortened(json.dumps(here))}", metadata[name])
    named = transform.classes if stored.original.config.loss.task.has_labels else transform.target_names
    outputs = stored.model.output_shape[-1]
    if named is not None and stored.original.config.loss.outputs_for(len(named)) != outputs:
        raise CheckpointError(
            f"{path}: the fitted transform in it has {len(named)} targets, its network {outputs} outputs; "
            "use another checkpoint"
        )


def _is_list_of(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(type(item) in types for item in value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


_METADATA: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "config": ("a mapping", _is_mapping),
    "input_shape": ("counts", lambda value: value != [] and _is_list_of(int)(value) and min(value) > 0),
    "classes": ("names, or null", lambda value: value is None or _is_list_of(str, int, float, bool)(value)),
    "class_weights": ("numbers, or null", lambda value: value is None or _is_list_of(float, int)(value)),
    "target_names": ("names, or null", lambda value: value is None or _is_list_of(str)(value)),
    "transform": ("a mapping", _is_mapping),
    "threads": ("a count", lambda value: type(value) is int and 0 < value < TOO_MANY),
    FIRST: ("sha256 digests", _is_list_of(str)),
    ACCEPTED: (
        "lists of sha256 digests",
        lambda value: isinstance(value, list) and all(_is_list_of(str)(each) for each in value),
    ),
    "plugins": ("sha256 digests", _is_list_of(str)),
    "state": ("a mapping", _is_mapping),
}
"""The metadata of a run's checkpoint: what each value should be, and a test for it."""


def _require(path: Path, metadata: Mapping[str, Any]) -> None:
    missing = [name for name in _METADATA if name not in metadata]
    if missing:
        raise CheckpointError(f"{path}: is not a checkpoint of a run: its metadata has no {', '.join(missing)}")
    for name, (expected, fits) in _METADATA.items():
        if not fits(metadata[name]):
            raise _misshapen(path, name, expected, metadata[name])


def _misshapen(path: Path, name: str, expected: str, value: Any) -> CheckpointError:
    shown = shortened(json.dumps(value))
    return CheckpointError(f"{path}: {name} in its metadata: expected {expected}, got {shown}; use another checkpoint")
