"""The share of correct predictions."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, TOKENS, Task


@METRICS.register
class Accuracy(Metric):
    """``accuracy = mean(predicted == label)``; over all binary outputs, or all positions of tokens.

    YAML:   accuracy
    """

    type: Literal["accuracy"] = "accuracy"
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY, TOKENS)
    better: ClassVar[Literal["max", "min"]] = "max"

    def compute(self, predictions: Predictions) -> float:
        if predictions.tokens is not None:
            return predictions.tokens.within(1)
        right = predictions.labels == predictions.targets
        return float(np.count_nonzero(right) / right.size)  # a fifth of the time of np.mean
