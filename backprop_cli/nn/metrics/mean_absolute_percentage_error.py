"""Mean error relative to the target."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class MeanAbsolutePercentageError(Metric):
    """``mean(|outputs - targets| / |targets|)`` over examples and outputs: a share, 0.1 being 10 %.

    A target of 0 counts as 2.2e-16 (the precision of float64) and dominates the mean. As in scikit-learn.

    YAML:   mean_absolute_percentage_error
    """

    type: Literal["mean_absolute_percentage_error"] = "mean_absolute_percentage_error"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        size = np.abs(predictions.targets.astype(np.float64))
        return float(np.mean(np.abs(predictions.residuals) / np.maximum(size, np.finfo(np.float64).eps)))
