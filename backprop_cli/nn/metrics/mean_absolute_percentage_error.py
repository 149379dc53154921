"""Differences relative to the target."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class MeanAbsolutePercentageError(Metric):
    """``mean(|outputs - targets| / |targets|)`` over examples and outputs: a share, 0.1 being 10 %.

    A target of 0 is taken to be 2.2e-16 (of float64), which makes it count beyond measure. As in scikit-learn.

    YAML:   mean_absolute_percentage_error
    """

    type: Literal["mean_absolute_percentage_error"] = "mean_absolute_percentage_error"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        """Mean size of the residuals relative to the targets."""
        size = np.abs(predictions.targets.astype(np.float64))
        return float(np.mean(np.abs(predictions.residuals) / np.maximum(size, np.finfo(np.float64).eps)))
