"""A trained network, opened from a checkpoint or run, and the metadata that describes it there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.config.changes import changes
from backprop_cli.config.configuration import Config
from backprop_cli.config.load import Loaded, from_tree
from backprop_cli.config.locate import in_file_order
from backprop_cli.config.network_problems import check_model
from backprop_cli.data.fitted import check_fitted
from backprop_cli.data.transform import Transform
from backprop_cli.errors import BpError, CheckpointError, ConfigError, Problem, path_text, warn
from backprop_cli.nn.graph import reads_columns
from backprop_cli.nn.input_columns import Columns
from backprop_cli.nn.model import Model
from backprop_cli.run.checkpoint import Checkpoint, find_checkpoint
from backprop_cli.run.checkpoint import load as load_checkpoint
from backprop_cli.session.calibration import CALIBRATION, Calibration
from backprop_cli.session.checked_plugins import stand_in
from backprop_cli.session.data_changes import ACCEPTED, FIRST
from backprop_cli.session.experiment import recipe_for
from backprop_cli.session.threads import TOO_MANY, blas_threads
from backprop_cli.structs import Struct
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.state import check_network, network_vectors
from backprop_cli.training.step_program import Recipe
from backprop_cli.visible import shortened


class TrainedNetwork(Struct):
    """The network in a checkpoint file, with its configuration and the fitted transform of its data.

    The data files are not needed. ``original``: the configuration in the file; ``loaded``: the same with overrides.
    Everything else is read from the checkpoint when it is first used.
    """

    path: Path
    checkpoint: Checkpoint
    original: Loaded
    loaded: Loaded

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The checkpoint's metadata: see ``network_metadata``."""
        return self.checkpoint.metadata

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.metadata["input_shape"])

    @property
    def classes(self) -> list[Any] | None:
        """The classes, or the vocabulary, in the order of the network's outputs."""
        classes: list[Any] | None = self.metadata["classes"]
        return classes

    @property
    def target_names(self) -> list[str] | None:
        """Names of the target columns of a regression or of binary targets."""
        names: list[str] | None = self.metadata["target_names"]
        return names

    @property
    def columns(self) -> Columns:
        """The columns of the data, if a layer depends on them. Raises: CheckpointError."""
        return self.transform.columns if reads_columns(self.original.config.model.layers) else ()

    @cached_property
    def original_model(self) -> Model:
        """The model without overrides. Raises: CheckpointError if the configuration in the file is wrong."""
        try:
            return check_model(self.original, self.input_shape, columns=self.columns)
        except ConfigError as error:
            raise _wrong_configuration(self.path, error) from error

    @cached_property
    def recipe(self) -> Recipe:
        """The network with the overrides. Raises: ConfigError, CheckpointError."""
        model = self.original_model
        if self.loaded is not self.original:
            model = check_model(self.loaded, self.input_shape, columns=self.columns)
        recipe = recipe_for(self.loaded, model, _class_weights(self.path, self.metadata, model))
        return replace(recipe, temperature=self.calibration.temperature)

    @cached_property
    def calibration(self) -> Calibration:
        """What was fitted on the validation split. Raises: CheckpointError if it is damaged."""
        given = self.metadata[CALIBRATION]
        try:
            return Calibration.from_json(given)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise _misshapen(self.path, CALIBRATION, "a temperature and intervals, or null", given) from error

    @cached_property
    def class_weights(self) -> Array | None:
        """The class weights in training; None if all are equal. Raises: CheckpointError."""
        return _class_weights(self.path, self.metadata, self.original_model)

    @cached_property
    def vectors(self) -> dict[str, Array]:
        """The flat vectors of the network. Raises: CheckpointError if the tensors are those of another network."""
        return network_vectors(self.recipe, self.checkpoint.tensors, str(self.path))

    @cached_property
    def transform(self) -> Transform:
        """The transform that was fitted in training. Raises: CheckpointError if it is damaged."""
        try:
            transform = Transform.from_json(self.metadata["transform"])
            check_fitted(transform)
        except (BpError, KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise CheckpointError(
                f"{self.path}: the fitted transform in it cannot be read ({reason}); use another checkpoint"
            ) from error
        if transform.input_shape != self.input_shape:
            raise CheckpointError(
                f"{self.path}: the fitted transform in it makes inputs of shape {list(transform.input_shape)}, its "
                f"network reads {list(self.input_shape)}; use another checkpoint"
            )
        return transform

    def evaluator(self) -> Evaluator:
        """An evaluator with the configured metrics."""
        untransform = self.transform.untransform_targets
        intervals = self.calibration.intervals
        return Evaluator(self.recipe, self.vectors, self.loaded.config.metrics, untransform, intervals=intervals)

    def threads(self) -> AbstractContextManager[None]:
        """BLAS limited as in training: the number of threads decides the last bits of sums."""
        return blas_threads(int(self.metadata["threads"]))

    @property
    def configs(self) -> tuple[Config, Config]:
        """``original`` and ``loaded``, with the input shape of the data if none is written."""
        return _with_input(self.original.config, self.input_shape), _with_input(self.loaded.config, self.input_shape)


def _with_input(config: Config, shape: tuple[int, ...]) -> Config:
    return config.model_copy(update={"model": config.model.model_copy(update={"input": config.model.input or shape})})


def read_network(
    path: Path,
    overrides: Sequence[str] = (),
    plugins: Sequence[Path | str] = (),
    refused: Callable[[TrainedNetwork], Sequence[Problem]] = lambda network: (),
) -> TrainedNetwork:
    """The network in the checkpoint file ``path``. Code that it needs is run only from the files ``plugins``.

    ``refused``: the overrides that this use of the network does not allow.

    Raises:
        UsageError: a plugin that it needs is not given.
        CheckpointError: the file is missing, damaged, or not a run's checkpoint.
        ConfigError: an override does not fit.

    """
    checkpoint = load_checkpoint(path)
    metadata = {"plugins": [], ACCEPTED: [], CALIBRATION: None, **checkpoint.metadata}
    _require(path, metadata)
    checkpoint = Checkpoint(checkpoint.tensors, metadata)
    names = metadata["config"].get("plugins", [])
    if not _is_list_of(str)(names):
        raise _misshapen(path, "config.plugins", "names of files", names)
    needed = dict(zip(names, metadata["plugins"], strict=False))
    given = stand_in(path, needed, plugins)
    try:
        original = from_tree(metadata["config"], base=Path(), label=str(path), plugins=given)
    except ConfigError as error:
        raise _wrong_configuration(path, error) from error
    network = TrainedNetwork(path, checkpoint, original, original)
    network.original_model  # noqa: B018  # a wrong network is reported before a wrong override
    if overrides:
        loaded = from_tree(
            metadata["config"],
            overrides,
            base=Path(),
            label=str(path),
            plugins=given,
            original=original,
            refused=lambda loaded: refused(replace(network, loaded=loaded)),
        )
        return replace(network, loaded=loaded)
    return network


def open_network(
    path: Path, overrides: Sequence[str] = (), plugins: Sequence[Path | str] = (), as_trained: bool = False
) -> TrainedNetwork:
    """The network of a checkpoint file, or of a run's best checkpoint, or else its last.

    ``plugins``: files with code that it needs. Overrides that change the network itself cause a warning; with
    ``as_trained`` they are refused.

    Raises:
        UsageError: a plugin that it needs is not given.
        CheckpointError: the file is missing, damaged, or contradicts its own configuration.
        ConfigError: an override does not fit.

    """
    network = read_network(find_checkpoint(path), overrides, plugins)
    check_network(network.recipe, network.checkpoint.tensors, str(network.path))
    _check_outputs(network)
    problems = _changes_of_network(network)
    if problems and as_trained:
        raise ConfigError(in_file_order(problems, network.loaded.overrides))
    for problem in problems:
        warn(str(problem))
    return network


def _changes_of_network(network: TrainedNetwork) -> list[Problem]:
    """Overrides that change the meaning of the weights, though their shapes still fit."""
    refused = (change for change in changes(*network.configs) if change.rule.effect == "refused")
    return [
        network.loaded.problem(each.path, f"{each}; leave it out, or start a new run")
        for each in refused
        if each.path[0] == "model"
    ]


def _class_weights(path: Path, metadata: Mapping[str, Any], model: Model) -> Array | None:
    """Raises: CheckpointError unless there is one weight for each output, and the network's precision holds it."""
    weights, outputs = metadata["class_weights"], model.output_shape[-1]
    if weights is None:
        return None
    if len(weights) != outputs:
        raise _misshapen(path, "class_weights", f"{outputs} numbers", weights)
    most = float(np.finfo(model.dtype).max)
    if not all(0 <= weight <= most for weight in weights):
        raise _misshapen(path, "class_weights", f"numbers from 0 to {most:.2g}", weights)
    return np.array(weights, dtype=np.float64)


def _check_outputs(network: TrainedNetwork) -> None:
    """Refuse a transform whose targets do not match the network's outputs. Raises: CheckpointError."""
    path, transform, metadata = network.path, network.transform, network.metadata
    for name, here in (("classes", transform.classes), ("target_names", transform.target_names)):
        if metadata[name] != here:
            raise _misshapen(path, name, f"those of its transform, {shortened(json.dumps(here))}", metadata[name])
    loss, outputs = network.original.config.loss, network.original_model.output_shape[-1]
    named = transform.classes if loss.task.has_labels else transform.target_names
    if named is not None and loss.outputs_for(len(named)) != outputs:
        raise CheckpointError(
            f"{path}: the fitted transform in it has {len(named)} targets, its network {outputs} outputs; "
            "use another checkpoint"
        )


def _wrong_configuration(path: Path, error: ConfigError) -> CheckpointError:
    found = "; ".join(f"{path_text(problem.path)}: {problem.message}" for problem in error.problems[:3])
    return CheckpointError(f"{path}: the configuration in it is wrong: {found}; use another checkpoint")


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
"""The metadata of a run's checkpoint: the expected value in words, and a test for it."""


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
