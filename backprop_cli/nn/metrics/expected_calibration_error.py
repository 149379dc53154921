"""Difference between probabilities and frequencies."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, Task
from backprop_cli.settings import PositiveInt


@METRICS.register
class ExpectedCalibrationError(Metric):
    """``sum_b n_b / n |accuracy_b - confidence_b|`` over bins b of the probability of the predicted class.

    The bins ``(k / bins, (k + 1) / bins]`` have equal widths. 0: of predictions with probability 0.8, 80 % are right.
    For binary targets it is over all outputs.

    YAML:   {type: expected_calibration_error, bins: 15}
    Source: Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks (2017), equation 5.
    """

    type: Literal["expected_calibration_error"] = "expected_calibration_error"
    bins: PositiveInt = 15
    """number of bins"""
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY)
    better: ClassVar[Literal["max", "min"]] = "min"
    needs_probabilities: ClassVar[bool] = True

    def compute(self, predictions: Predictions) -> float:
        probs = predictions.outputs.astype(np.float64)
        if predictions.task.has_labels:
            confidence = probs.max(axis=1)
            right = predictions.labels == predictions.targets
        else:
            confidence = np.maximum(probs, 1.0 - probs).ravel()
            right = (predictions.labels == (predictions.targets.astype(np.float64) >= 0.5)).ravel()
        places = np.clip(np.ceil(confidence * self.bins).astype(np.int64) - 1, 0, self.bins - 1)
        gaps = np.bincount(places, right - confidence, minlength=self.bins)
        return float(np.abs(gaps).sum() / max(len(confidence), 1))
