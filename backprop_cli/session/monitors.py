"""The configured monitors, of early stopping and of the best checkpoint, and the measures of remembered values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backprop_cli.config.configuration import Config
from backprop_cli.config.conflicts import monitor_direction
from backprop_cli.settings import Settings
from backprop_cli.training.monitor import Measure, Monitor
from backprop_cli.training.state import BEST, EARLY_STOPPING, EPOCH, FULL_BATCH, OVERFIT, SCHEDULE


def early_stopping_monitor(config: Config) -> Monitor | None:
    """The monitor that stops training early; None without ``early_stopping``."""
    settings = config.early_stopping
    if settings is None:
        return None
    better = settings.mode if settings.mode != "auto" else monitor_direction(config, settings.monitor)
    return Monitor(settings.monitor, better, settings.min_delta, settings.patience)


def best_monitor(config: Config) -> Monitor | None:
    """The monitor of the best checkpoint; None without one.

    If early stopping monitors the same metric, its ``mode`` decides the better direction.
    """
    if not config.checkpoint.keep_best:
        return None
    name, stopping = config.checkpoint.monitor, early_stopping_monitor(config)
    if stopping is not None and stopping.name == name:
        return Monitor(name, stopping.better)
    return Monitor(name, monitor_direction(config, name))


def measures_of(config: Config, data: Sequence[str]) -> dict[str, Measure]:
    """The configured measure of each entry of ``State.memory``. ``data``: sha256 of the files in use."""
    digests = tuple(data)
    found = {
        EPOCH: Measure("train", data=digests),
        OVERFIT: Measure("train/loss", data=digests),
        FULL_BATCH: Measure("the objective", settings=_dumped(config.regularization), data=digests),
        SCHEDULE: Measure("", settings={"schedule": config.schedule.type}),
    }
    monitors = {BEST: best_monitor(config), EARLY_STOPPING: early_stopping_monitor(config)}
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
    """The settings of the metric ``name`` that a resumed run may change."""
    kind = name.rpartition("/")[2]
    if kind == "regularization":
        return _dumped(config.regularization)
    return next((_dumped(metric) for metric in config.metrics if metric.type == kind), {})


def _dumped(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json")
