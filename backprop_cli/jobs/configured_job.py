"""From a configuration with its data to the job of training."""

from __future__ import annotations

from backprop_cli.config.coherence import monitor_direction
from backprop_cli.config.schema import Config
from backprop_cli.data.augment import augmentation
from backprop_cli.jobs.network import Prepared
from backprop_cli.training.job import Job
from backprop_cli.training.monitor import Monitor


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
