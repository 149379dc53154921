"""Kullback-Leibler divergence of given and predicted probabilities."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class KlDivergence(Metric):
    """``mean(sum_c t[c] * log(t[c] / p[c]))`` over the examples, in nats; 0 is perfect.

    The target columns are the probabilities t, the outputs the predicted probabilities p; a t of 0 adds nothing. NaN if
    one of them is negative; infinite if p is 0 and t is not.

    YAML:   kl_divergence
    Source: Kullback & Leibler, On Information and Sufficiency (1951), equation 2.4.
    """

    type: Literal["kl_divergence"] = "kl_divergence"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        predicted, given = predictions.numbers, predictions.targets.astype(np.float64)
        if (predicted < 0).any() or (given < 0).any():
            return math.nan
        with np.errstate(divide="ignore"):
            logs = np.log(np.where(given > 0, given, 1.0)) - np.log(np.where(given > 0, predicted, 1.0))
        return float(np.mean(np.sum(given * logs, axis=1)))
