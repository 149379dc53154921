"""Mean squared error of probabilities."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, Task


@METRICS.register
class BrierScore(Metric):
    """``mean(sum_c (p[c] - (c == label))^2)``; for two classes half of it, the error of the second class. 0 is perfect.

    For binary targets ``mean((p - t)^2)`` over all outputs. As in scikit-learn.

    YAML:   brier_score
    Source: Brier, Verification of Forecasts Expressed in Terms of Probability (1950), equation 2.
    """

    type: Literal["brier_score"] = "brier_score"
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY)
    better: ClassVar[Literal["max", "min"]] = "min"
    needs_probabilities: ClassVar[bool] = True

    def compute(self, predictions: Predictions) -> float:
        probs = predictions.outputs.astype(np.float64)
        if not predictions.task.has_labels:
            return float(np.mean(np.square(probs - predictions.targets.astype(np.float64))))
        right = np.arange(probs.shape[1]) == predictions.targets.astype(np.int64)[:, None]
        total = float(np.mean(np.sum(np.square(probs - right), axis=1)))
        return total / 2 if probs.shape[1] == 2 else total
