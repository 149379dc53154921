"""The share of a class's examples that are found."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.confusion import positives, ratio
from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, Task


@METRICS.register
class Recall(Metric):
    """``recall = right / true`` of a class: the share of its examples that are predicted.

    The mean over all classes that occur among labels or predictions (macro); for binary targets the value of the 1s,
    the mean over outputs. 0 if undefined. As in scikit-learn with ``zero_division=0``.

    YAML:   recall
    """

    type: Literal["recall"] = "recall"
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY)
    better: ClassVar[Literal["max", "min"]] = "max"

    def compute(self, predictions: Predictions) -> float:
        right, _, true = positives(predictions)
        return float(np.mean(ratio(right, true)))
