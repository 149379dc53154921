"""``bp validate``: everything short of the first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backprop_cli.api.arguments import one_or_many
from backprop_cli.config.config_warnings import config_warnings, data_warnings
from backprop_cli.json_object import JsonObject
from backprop_cli.session.checked_plugins import read_config
from backprop_cli.session.compilation import compiles
from backprop_cli.session.experiment import prepare
from backprop_cli.session.initial_state import initial_state
from backprop_cli.training.loop import Trainer


class ValidateResult(JsonObject, kw_only=True):
    """The examples by split, the shapes, and the number of steps of a training."""

    valid: bool = True
    """Always true: a configuration that is not valid is a failure."""
    examples: Mapping[str, int]
    """Number of examples by split."""
    input_shape: tuple[int, ...]
    """Shape of one example, channels first."""
    classes: Sequence[Any] | None
    """Names of the classes in the order of the outputs; null without classes."""
    parameters: int
    """Number of parameters, frozen ones included."""
    steps: int
    """Number of steps that a training takes."""
    warnings: Sequence[str] = ()
    """Warnings, a line each."""


@one_or_many
def validate(config: Path | str, overrides: Sequence[str] = ()) -> ValidateResult:
    """Read the configuration and its data, build the network, trace and plan its training step.

    Raises:
        ConfigError: the configuration is wrong, or this machine cannot compile its steps; every problem at its place.
        CheckError: a plugin's gradient is wrong.
        DataError: the data cannot be used.
        CheckpointError: the checkpoint to start from is missing, damaged or of another network.

    """
    experiment = prepare(read_config(Path(config), overrides))
    dataset, recipe = experiment.dataset, experiment.recipe
    spec = experiment.training_spec()
    compiles(experiment.loaded, spec, before=None)  # for its errors: compiling takes seconds
    Trainer(spec, initial_state(experiment.loaded, recipe, dataset)).warm_up()
    return ValidateResult(
        examples={name: len(split) for name, split in dataset.splits.items()},
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        parameters=recipe.model.parameter_count,
        steps=spec.total_steps,
        warnings=[*config_warnings(experiment.loaded), *experiment.warnings, *data_warnings(experiment.loaded, spec)],
    )
