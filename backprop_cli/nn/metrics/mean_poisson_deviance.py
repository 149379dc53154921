"""Deviance of predicted rates from counts."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class MeanPoissonDeviance(Metric):
    """``mean(2 * (t * log(t / rate) - t + rate))`` over examples and outputs, in nats; 0 is perfect.

    NaN if a predicted rate is not above 0 or a target is below 0. As in scikit-learn, which raises an error then.

    YAML:   mean_poisson_deviance
    Source: Nelder & Wedderburn, Generalized Linear Models (1972), section 1.
    """

    type: Literal["mean_poisson_deviance"] = "mean_poisson_deviance"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        rates, counts = predictions.numbers, predictions.targets.astype(np.float64)
        if not ((rates > 0).all() and (counts >= 0).all()):
            return math.nan
        logs = np.log(np.where(counts > 0, counts, 1.0)) - np.log(rates)
        return float(np.mean(2.0 * (np.where(counts > 0, counts * logs, 0.0) - counts + rates)))
