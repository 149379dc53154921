"""Calibration: a temperature and intervals, fitted on the validation split after training, kept in checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Array
from backprop_cli.config.configuration import Config
from backprop_cli.data.examples import Split
from backprop_cli.errors import warn
from backprop_cli.nn.intervals import Intervals
from backprop_cli.run.checkpoint import Checkpoint, load, save
from backprop_cli.structs import Struct
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.state import network_vectors
from backprop_cli.training.step_program import Recipe

CALIBRATION = "calibration"
"""Key of the metadata of a checkpoint."""
_MOST = 100.0
"""Largest factor between the temperature and 1."""


class Calibration(Struct, eq=False):
    """``temperature`` divides the logits; ``intervals`` go with the predictions."""

    temperature: float = 1.0
    intervals: Intervals | None = None

    def to_json(self) -> dict[str, Any]:
        """Numbers only; the inverse of ``from_json``."""
        found: dict[str, Any] = {"temperature": self.temperature}
        if self.intervals is not None:
            found["intervals"] = {"level": self.intervals.level, "largest": self.intervals.largest.tolist()}
        return found

    @staticmethod
    def from_json(tree: Mapping[str, Any] | None) -> Calibration:
        """None: an uncalibrated network. Raises: KeyError, TypeError or ValueError for anything else."""
        if tree is None:
            return Calibration()
        temperature, given = float(tree["temperature"]), tree.get("intervals")
        if not 0 < temperature < np.inf:
            raise ValueError(temperature)
        if given is None:
            return Calibration(temperature)
        largest = np.array(given["largest"], np.float64)
        if largest.ndim != 1 or not (largest >= 0).all():
            raise ValueError(given)
        return Calibration(temperature, Intervals(float(given["level"]), largest))

    def evaluator(self, evaluator: Evaluator) -> Evaluator:
        """The evaluator of the calibrated network."""
        if self.temperature == 1.0 and self.intervals is None:
            return evaluator
        recipe = dataclasses.replace(evaluator.recipe, temperature=self.temperature)
        return Evaluator(recipe, evaluator.arrays, evaluator.metrics, evaluator.untransform, intervals=self.intervals)


def fit_calibration(config: Config, evaluator: Evaluator, validation: Split) -> Calibration:
    """What the configuration asks for, fitted to the evaluator's network."""
    temperature = 1.0
    if config.calibrate is not None:
        logits = evaluator.outputs(validation.inputs).astype(np.float64)
        temperature = fit_temperature(logits, np.asarray(validation.targets))
    found = Calibration(temperature)
    if config.intervals is None:
        return found
    shown, _ = found.evaluator(evaluator).on(evaluator.arrays, ()).evaluate_with_predictions(validation)
    predicted = shown.numbers if shown.task.has_unit else shown.outputs
    return Calibration(temperature, Intervals.fit(config.intervals, shown.task, predicted, shown.targets))


def fit_temperature(logits: NDArray[np.float64], targets: Array) -> float:
    """The temperature t of the least log loss of ``logits / t``; of an ensemble, of the mean of its probabilities.

    Bisection finds it: the loss of one network is convex in ``1 / t``. With a warning, 1 if more certainty always makes
    the loss smaller, as where every prediction is right.

    Shapes: logits (examples, [members,] classes) and int64 labels (examples,), or (examples, [members,] outputs) and
            0 or 1 (examples, outputs)
    Source: Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks (2017), section 4.2.
    """
    members = logits if logits.ndim == 3 else logits[:, None]
    low, high = 1 / _MOST, _MOST  # of 1 / t
    if _slope(high, members, targets) <= 0:
        warn("calibrate: the validation split gives no temperature, because all its predictions are right; it stays 1")
        return 1.0
    for _ in range(100):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _slope(middle, members, targets) < 0 else (low, middle)
    return 1 / high


def _slope(factor: float, logits: NDArray[np.float64], targets: Array) -> float:
    """The derivative of the mean log loss of ``factor * logits`` by the factor.

    ``-mean_n sum_m w[n, m] d/df log p[n, m]``, p the probability of the true class and w its share of the members' sum.
    """
    if targets.ndim == 2:
        own = np.where(targets[:, None] >= 0.5, logits, -logits)  # of the true one of two classes
        log_true = -np.logaddexp(0.0, -factor * own)
        slope = (1.0 - np.exp(log_true)) * own
    else:
        log_probs = factor * (logits - logits.max(axis=-1, keepdims=True))
        log_probs -= np.log(np.exp(log_probs).sum(axis=-1, keepdims=True))
        labels = np.broadcast_to(targets[:, None, None], (*logits.shape[:2], 1))
        log_true, own = (np.take_along_axis(each, labels, axis=-1)[..., 0] for each in (log_probs, logits))
        slope = own - (np.exp(log_probs) * logits).sum(axis=-1)
    shares = np.exp(log_true - log_true.max(axis=1, keepdims=True))
    return -float(np.mean((shares * slope).sum(axis=1) / shares.sum(axis=1)))


def is_calibrated(config: Config) -> bool:
    """Whether anything is fitted after training."""
    return config.calibrate is not None or config.intervals is not None


def calibrate_checkpoint(path: Path, config: Config, recipe: Recipe, evaluator: Evaluator, validation: Split) -> None:
    """Fit the calibration of the network in a checkpoint, and write it into the file; one not configured is removed.

    Raises: CheckpointError if the file cannot be read or written.
    """
    checkpoint = load(path)
    if not is_calibrated(config):
        if checkpoint.metadata.get(CALIBRATION) is not None:  # of an earlier session
            save(path, Checkpoint(checkpoint.tensors, {**checkpoint.metadata, CALIBRATION: None}))
        return
    own = evaluator.on(network_vectors(recipe, checkpoint.tensors, str(path)))
    found = fit_calibration(config, own, validation)
    save(path, Checkpoint(checkpoint.tensors, {**checkpoint.metadata, CALIBRATION: found.to_json()}))
