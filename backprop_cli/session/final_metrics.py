"""The metrics of the network that a finished run keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from backprop_cli.errors import DivergenceError
from backprop_cli.nn.metric import MetricType
from backprop_cli.run.checkpoint import load as load_checkpoint
from backprop_cli.run.directory import RunDirectory
from backprop_cli.session.calibration import CALIBRATION, Calibration, is_calibrated
from backprop_cli.session.experiment import Experiment
from backprop_cli.session.threads import blas_threads
from backprop_cli.settings import Many
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import network_vectors


def final_metrics(
    experiment: Experiment, trainer: Trainer, run: RunDirectory, network: Mapping[str, Any]
) -> dict[str, float]:
    """Metrics by ``<split>/<metric>`` of the best checkpoint if the run has one, else of the last state.

    ``network``: the metadata of this session's checkpoints. A best checkpoint from before a resumption is evaluated
    with its own number of BLAS threads and its own metrics, as ``bp eval`` does.

    Raises: DivergenceError if a loss is not finite.
    """
    evaluator, threads = trainer.evaluator, trainer.spec.blas_threads
    calibration = Calibration()
    if run.best.exists():
        best = load_checkpoint(run.best)
        threads, metrics = int(best.metadata["threads"]), best.metadata["config"]["metrics"]
        is_own = metrics == network["config"]["metrics"]
        evaluator = evaluator.on(
            network_vectors(experiment.recipe, best.tensors, str(run.best)),
            None if is_own else TypeAdapter(Many[MetricType]).validate_python(metrics),
        )
        calibration = Calibration.from_json(best.metadata.get(CALIBRATION))
    elif run.last.exists() and is_calibrated(experiment.loaded.config):
        calibration = Calibration.from_json(load_checkpoint(run.last).metadata.get(CALIBRATION))
    evaluator = calibration.evaluator(evaluator)
    with blas_threads(threads):
        found = {
            f"{name}/{metric}": value
            for name, split in experiment.dataset.measured.items()
            for metric, value in evaluator.evaluate(split).items()
        }
    _check_finite(found)
    return found


def _check_finite(metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        if name.endswith("/loss") and not math.isfinite(value):
            raise DivergenceError(
                f"training diverged: {name} of the trained model is {value:g}; "
                "lower optimizer.learning_rate or set training.clip_norm"
            )
