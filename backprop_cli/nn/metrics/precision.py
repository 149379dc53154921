"""The share of predictions of a class that are correct."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.confusion import positives, ratio
from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, Task


@METRICS.register
class Precision(Metric):
    """``precision = right / predicted`` of a class: the share of its predictions that are true.

    The mean over all classes that occur among labels or predictions (macro); for binary targets the value of the 1s,
    the mean over outputs. 0 if undefined. As in scikit-learn with ``zero_division=0``.

    YAML:   precision
    """

    type: Literal["precision"] = "precision"
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY)
    better: ClassVar[Literal["max", "min"]] = "max"

    def compute(self, predictions: Predictions) -> float:
        right, predicted, _ = positives(predictions)
        return float(np.mean(ratio(right, predicted)))
