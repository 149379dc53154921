"""The metrics of the model that a finished run keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from backprop_cli.errors import DivergenceError
from backprop_cli.nn.metric import MetricType
from backprop_cli.run.checkpoint import load as load_checkpoint
from backprop_cli.run.directory import RunDirectory
from backprop_cli.session.experiment import Experiment
from backprop_cli.session.threads import blas_threads
from backprop_cli.settings import Many
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State


def final_metrics(
    experiment: Experiment, trainer: Trainer, run: RunDirectory, network: Mapping[str, Any], threads: int
) -> dict[str, float]:
    """Metrics by ``<split>/<metric>`` of the best checkpoint if the run has one, else of the last state.

    ``network`` is the checkpoint metadata of this run, ``threads`` its number of BLAS threads. A best checkpoint that
    was written before the run was resumed is evaluated as ``bp eval`` does it: with its own threads and metrics.

    Raises: DivergenceError if a loss is not finite.
    """
    state, evaluator = trainer.state, trainer.evaluator
    last = {name: vector.copy() for name, vector in state.evaluated.items()}
    if run.best.exists():
        best, recipe = load_checkpoint(run.best), experiment.recipe
        kept = State.start(recipe, experiment.loaded.config.seed)
        kept.restore(recipe, best.tensors, None, str(run.best))
        _copy(kept.network, state.evaluated)
        threads, metrics = int(best.metadata["threads"]), best.metadata["config"]["metrics"]
        if metrics != network["config"]["metrics"]:
            own = TypeAdapter(Many[MetricType]).validate_python(metrics)
            evaluator = Evaluator(recipe, state.evaluated, own, trainer.spec.untransform)
    with blas_threads(threads):
        found = {
            f"{name}/{metric}": value
            for name, split in experiment.dataset.measured.items()
            for metric, value in evaluator.evaluate(split).items()
        }
    _copy(last, state.evaluated)
    _check_finite(found)
    return found


def _copy(source: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    for name, vector in target.items():
        vector[...] = source[name]


def _check_finite(metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        if name.endswith("/loss") and not math.isfinite(value):
            raise DivergenceError(
                f"training diverged: {name} of the trained model is {value:g}; "
                "lower optimizer.learning_rate or set training.clip_norm"
            )
