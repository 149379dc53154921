"""The share of variance explained."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class R2(Metric):
    """``r2 = 1 - sum((targets - outputs)^2) / sum((targets - mean(targets))^2)``, the mean over outputs.

    1 is perfect, 0 as good as the mean. A constant target gives 1 if predicted exactly, else 0; a single example gives
    NaN. As in scikit-learn.

    YAML:   r2
    """

    type: Literal["r2"] = "r2"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "max"

    def compute(self, predictions: Predictions) -> float:
        if len(predictions.targets) < 2:
            return math.nan
        targets = predictions.targets.astype(np.float64)
        unexplained = np.square(predictions.residuals).sum(axis=0)
        total = np.square(targets - targets.mean(axis=0)).sum(axis=0)
        constant = np.where(unexplained == 0, 1.0, 0.0)
        return float(np.mean(np.where(total > 0, 1.0 - unexplained / np.where(total > 0, total, 1.0), constant)))
