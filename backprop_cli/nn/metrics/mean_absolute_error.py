"""Mean absolute error."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class MeanAbsoluteError(Metric):
    """``mean(|outputs - targets|)`` over examples and outputs, in the target's unit.

    YAML:   mean_absolute_error
    """

    type: Literal["mean_absolute_error"] = "mean_absolute_error"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        return float(np.mean(np.abs(predictions.residuals)))
