"""Root mean squared error."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class RootMeanSquaredError(Metric):
    """``sqrt(mean((outputs - targets)^2))`` over examples, in the target's unit; averaged over outputs.

    YAML:   root_mean_squared_error
    """

    type: Literal["root_mean_squared_error"] = "root_mean_squared_error"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        return float(np.mean(np.sqrt(np.mean(np.square(predictions.residuals), axis=0))))
