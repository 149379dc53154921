"""``bp gradcheck``: is every gradient of a network right?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from backprop_cli.api.arguments import one_or_many
from backprop_cli.autodiff import Array
from backprop_cli.checks.gradients import check_gradients, random_batch
from backprop_cli.checks.method import METHODS, Options, Order
from backprop_cli.checks.mutation_score import network_score, op_score
from backprop_cli.checks.registered import check_registered
from backprop_cli.checks.result import Report
from backprop_cli.config.configuration import GradientCheckSettings
from backprop_cli.config.load import Loaded
from backprop_cli.errors import UsageError
from backprop_cli.session.checked_plugins import read_config, refuse_plugins, run_plugins
from backprop_cli.session.experiment import is_configuration, model_of, recipe_for
from backprop_cli.session.initial_state import initial_state
from backprop_cli.session.threads import blas_threads
from backprop_cli.session.trained_network import open_network
from backprop_cli.training.events import OnProgress
from backprop_cli.training.step_program import Recipe


@one_or_many
def gradcheck(
    target: Path | str | None = None,
    overrides: Sequence[str] = (),
    *,
    method: str | None = None,
    order: Order = 1,
    samples: int | Literal["all"] | None = None,
    tolerance: float | None = None,
    mutate: bool = False,
    strict: bool = False,
    plugins: Sequence[Path | str] = (),
    on_progress: OnProgress | None = None,
) -> Report:
    """Check the gradient by every parameter of a configuration (at its initial weights) or a checkpoint (at its own).

    Inputs, targets and dropout masks are drawn from the configuration's seed (see ``random_batch``). ``method``,
    ``samples`` and ``tolerance`` default to the configuration's ``gradient_check``; ``order`` 2 checks Hessian-vector
    products. Without a target, all entries of everything registered are checked. ``strict``: a check without a judged
    entry fails. ``mutate`` then breaks each derivative rule in turn, alone or in the network, and counts how often the
    check notices. ``plugins``: files with code that a checkpoint needs, or whose types are checked too.
    ``on_progress(what, done, total)`` is called as the check proceeds.

    Raises:
        UsageError: a tolerance that is not above 0, an unknown method, or a missing plugin.
        ConfigError: the configuration is wrong.
        CheckError: a plugin's gradient is wrong, or it breaks another promise.
        DataError: data that is needed to know the shapes cannot be read.
        CheckpointError: the checkpoint is missing or damaged.

    """
    if method is not None:
        METHODS[method]  # refuse an unknown method before reading any file
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise UsageError(f"gradcheck: the tolerance must be a number greater than 0, got {tolerance:g}")
    if target is None:
        run_plugins(plugins, gradients=False)
        defaults = GradientCheckSettings()
        method, tolerance = method or defaults.method, tolerance or defaults.tolerance
        with blas_threads(1):  # arrays of a few numbers: a second thread would cost more than it does
            report = check_registered(method=method, order=order, tolerance=tolerance, progress=on_progress)
            score = op_score(method=method, order=order, tolerance=tolerance, progress=on_progress) if mutate else None
        return replace(report, mutants=score, strict=strict)
    path, loaded, recipe, network = _network(Path(target), overrides, plugins)
    seed, settings = loaded.config.seed, loaded.config.gradient_check or GradientCheckSettings()
    method, options = (
        method or settings.method,
        Options(samples or settings.samples, tolerance or settings.tolerance, seed, progress=on_progress),
    )
    arrays = {**network, **random_batch(recipe, seed)}
    with blas_threads(1):
        report = check_gradients(recipe, arrays, target=str(path), method=method, order=order, options=options)
        score = network_score(recipe, arrays, method=method, order=order, options=options) if mutate else None
    return replace(report, mutants=score, strict=strict)


def _network(
    path: Path, overrides: Sequence[str], plugins: Sequence[Path | str]
) -> tuple[Path, Loaded, Recipe, Mapping[str, Array]]:
    """The file, its configuration, and the network with its vectors: initial ones, or a checkpoint's."""
    if is_configuration(path):
        refuse_plugins(plugins, path)
        loaded = read_config(path, overrides)
        recipe = _configured(loaded)
        return path, loaded, recipe, initial_state(loaded, recipe).network
    saved = open_network(path, overrides, plugins)
    return saved.path, saved.loaded, saved.recipe, saved.vectors


def _configured(loaded: Loaded) -> Recipe:
    """The network, with unequal class weights if the configuration has any."""
    model = model_of(loaded)
    weighted = getattr(loaded.config.loss, "class_weight", None) not in ("none", None)
    width = model.output_shape[-1]
    return recipe_for(loaded, model, np.linspace(0.5, 1.5, width) if weighted else None)
