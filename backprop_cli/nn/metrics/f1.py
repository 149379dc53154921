"""The harmonic mean of precision and recall."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.confusion import positives, ratio
from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, Task


@METRICS.register
class F1(Metric):
    """``f1 = 2 * right / (predicted + true)`` of a class: the harmonic mean of its precision and recall.

    The mean over all classes that occur among labels or predictions (macro); for binary targets the value of the 1s,
    the mean over outputs. 0 if undefined. As in scikit-learn with ``zero_division=0``.

    YAML:   f1
    """

    type: Literal["f1"] = "f1"
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY)
    better: ClassVar[Literal["max", "min"]] = "max"

    def compute(self, predictions: Predictions) -> float:
        right, predicted, true = positives(predictions)
        return float(np.mean(ratio(2 * right, predicted + true)))
