"""The usual size of a difference."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.loss import Task
from backprop_cli.nn.metric import METRICS, Metric, Predictions


@METRICS.register
class RootMeanSquaredError(Metric):
    """``sqrt(mean((outputs - targets)^2))`` over examples, in the target's unit; the mean of the outputs' own values.

    YAML:   root_mean_squared_error
    """

    type: Literal["root_mean_squared_error"] = "root_mean_squared_error"
    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        """Root mean square of the residuals."""
        return float(np.mean(np.sqrt(np.mean(np.square(predictions.residuals), axis=0))))
