"""Share of truths inside their predicted intervals or sets."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, REGRESSION, Task


@METRICS.register
class Coverage(Metric):
    """``mean(low <= target <= high)``, or the share of examples whose set of classes holds the true one.

    For the intervals of `intervals: 0.9`, which are fitted after training, and for a loss with several quantiles, whose
    lowest and highest are the ends. It should be near the level: 0.9, or the difference of the quantiles.

    YAML:   coverage
    Source: Lei, G'Sell, Rinaldo, Tibshirani & Wasserman, Distribution-Free Predictive Inference for Regression (2018).
    """

    type: Literal["coverage"] = "coverage"
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY, REGRESSION)
    better: ClassVar[Literal["max", "min"]] = "max"
    needs_probabilities: ClassVar[bool] = True
    needs_intervals: ClassVar[bool] = True

    def compute(self, predictions: Predictions) -> float:
        task, targets = predictions.task, predictions.targets
        if predictions.intervals is not None:
            predicted = predictions.numbers if task.has_unit else predictions.outputs
            return float(np.mean(predictions.intervals.holds(task, predicted, targets)))
        count = len(predictions.levels)
        if count < 2:
            return math.nan
        outputs, truth = predictions.outputs.astype(np.float64), targets.astype(np.float64)
        return float(np.mean((outputs[:, ::count] <= truth) & (truth <= outputs[:, count - 1 :: count])))
