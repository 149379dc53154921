"""``bp show``: layers, shapes, parameters, memory, multiplications; for a run also its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from backprop_cli.api.arguments import one_or_many
from backprop_cli.config.configuration import Config
from backprop_cli.execution.compiler import compiler_obstacle, has_compiler
from backprop_cli.inspection.network_figures import LayerFigures, MemoryFigures, layer_figures, memory_figures
from backprop_cli.json_object import JsonObject
from backprop_cli.run.checkpoint import run_without_checkpoint
from backprop_cli.run.directory import RunDirectory
from backprop_cli.session.checked_plugins import read_config, read_run_config, refuse_plugins
from backprop_cli.session.experiment import batch_size, is_configuration, network_of
from backprop_cli.session.outcome import recorded_outcome
from backprop_cli.session.trained_network import open_network
from backprop_cli.training.step_program import Recipe


class ShowResult(JsonObject):
    """A network in figures."""

    json_optional: ClassVar = ("run", "numpy_only", "split")

    layers: Sequence[LayerFigures]
    """The layers in the order of evaluation."""
    parameters: int
    """Number of parameters, frozen ones included."""
    trainable: int
    """Number of parameters that training changes."""
    bytes: MemoryFigures
    """Memory of a training step."""
    run: Mapping[str, Any] | None = None
    """How the run ended: the keys of ``run.json`` of these names, and the status ``killed``."""
    numpy_only: str | None = None
    """Why every step runs on NumPy, without a C compiler; left out if there is one."""
    split: str = ""
    """The columns that decide which row is in which split: ``by patient, which is no input``; left out without any."""


@one_or_many
def show(target: Path | str, overrides: Sequence[str] = (), *, plugins: Sequence[Path | str] = ()) -> ShowResult:
    """Describe a configuration, a checkpoint or a run. Data is read only if nothing else gives the shapes.

    ``plugins``: files with code that a checkpoint or a run needs.

    Raises:
        UsageError: a plugin is missing.
        CheckError: a plugin's gradient is wrong.
        ConfigError: the configuration is wrong.
        CheckpointError: the checkpoint or run is missing or damaged, or the run ended before it knew its network.
        DataError: data that is needed to know the shapes cannot be read.

    """
    path = Path(target)
    if is_configuration(path):
        refuse_plugins(plugins, path)
        loaded = read_config(path, overrides)
        return _figures(network_of(loaded), batch_size(loaded), loaded.config)
    run = run_without_checkpoint(path)
    if run is not None:
        loaded = read_run_config(run, overrides, plugins)
        return _figures(network_of(loaded), batch_size(loaded), loaded.config, recorded_outcome(run))
    saved = open_network(path, overrides, plugins)
    outcome = recorded_outcome(RunDirectory(saved.path.parent.parent))
    config = saved.loaded.config
    return _figures(saved.recipe, config.training.batch_size, config, outcome)


def _figures(recipe: Recipe, batch: int, config: Config, run: Mapping[str, Any] | None = None) -> ShowResult:
    model = recipe.model
    return ShowResult(
        layers=layer_figures(model),
        parameters=model.parameter_count,
        trainable=recipe.layout.size,
        bytes=memory_figures(recipe, batch),
        run=run,
        numpy_only=None if has_compiler() else compiler_obstacle(),
        split=config.data.split_text,
    )
