"""From a configuration with its data to the job of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backprop_cli.config.configuration import Config
from backprop_cli.config.conflicts import monitor_direction
from backprop_cli.data.augment import augmentation
from backprop_cli.session.preparation import Prepared
from backprop_cli.settings import Settings
from backprop_cli.training.job import Job
from backprop_cli.training.monitor import Measure, Monitor
from backprop_cli.training.state import BEST, EARLY_STOPPING, EPOCH, FULL_BATCH, OVERFIT, SCHEDULE


def job_for(prepared: Prepared) -> Job:
    """What to train, on what, and how long, as configured."""
    config, dataset = prepared.loaded.config, prepared.dataset
    return Job(
        recipe=prepared.recipe,
        settings=config.training,
        schedule=config.schedule,
        seed=config.seed,
        train=dataset.train,
        augment=augmentation(config.data.augment, prepared.recipe.model.input_shape),
        validation=dataset.validation,
        metrics=config.metrics,
        to_unit=dataset.transform.untransform_targets,
        best=_best_monitor(config),
        early_stopping=_early_stopping(config),
    )


def _early_stopping(config: Config) -> Monitor | None:
    settings = config.early_stopping
    if settings is None:
        return None
    better = settings.mode if settings.mode != "auto" else monitor_direction(config, settings.monitor)
    return Monitor(settings.monitor, better, settings.min_delta, settings.patience)


def _best_monitor(config: Config) -> Monitor | None:
    """What says which checkpoint is best; early stopping on the same metric knows which way is better."""
    if not config.checkpoint.keep_best:
        return None
    name, stopping = config.checkpoint.monitor, _early_stopping(config)
    if stopping is not None and stopping.name == name:
        return Monitor(name, stopping.better)
    return Monitor(name, monitor_direction(config, name))


def measures_of(config: Config, data: Sequence[str]) -> dict[str, Measure]:
    """What each part of a state's memory is of, as configured. ``data``: sha256 of the files in use."""
    digests = tuple(data)
    found = {
        EPOCH: Measure("train", data=digests),
        OVERFIT: Measure("train/loss", data=digests),
        FULL_BATCH: Measure("the objective", settings=_dumped(config.regularization), data=digests),
        SCHEDULE: Measure("", settings={"schedule": config.schedule.type}),
    }
    monitors = {BEST: _best_monitor(config), EARLY_STOPPING: _early_stopping(config)}
    for key, monitor in monitors.items():
        if monitor is not None:
            found[key] = Measure(monitor.name, monitor.better, _computed(config, monitor.name), digests)
    name = getattr(config.schedule, "monitor", None)
    if isinstance(name, str):
        mode = getattr(config.schedule, "mode", "auto")
        better = monitor_direction(config, name) if mode == "auto" else mode
        settings = {**found[SCHEDULE].settings, **_computed(config, name)}
        found[SCHEDULE] = Measure(name, better, settings, digests)
    return found


def _computed(config: Config, name: str) -> dict[str, Any]:
    """How the metric ``name`` is computed, as far as a run may change it."""
    kind = name.rpartition("/")[2]
    if kind == "regularization":
        return _dumped(config.regularization)
    return next((_dumped(metric) for metric in config.metrics if metric.type == kind), {})


def _dumped(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json")
