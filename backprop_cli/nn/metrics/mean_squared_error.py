"""Mean squared error."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class MeanSquaredError(Metric):
    """``mean((outputs - targets)^2)`` over examples and outputs, in the target's unit squared.

    YAML:   mean_squared_error
    """

    type: Literal["mean_squared_error"] = "mean_squared_error"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        return float(np.mean(np.square(predictions.residuals)))
