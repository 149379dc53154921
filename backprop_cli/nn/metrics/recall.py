"""How many of the true are found."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.confusion import positives, ratio
from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, Task


@METRICS.register
class Recall(Metric):
    """``recall = right / true`` of a class: the share of its examples that are predicted.

    The mean over the classes that are true or predicted somewhere (macro); for binary targets of the 1s, the mean
    over outputs. 0 where undefined. As in scikit-learn with ``zero_division=0``.

    YAML:   recall
    """

    type: Literal["recall"] = "recall"
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY)
    better: ClassVar[Literal["max", "min"]] = "max"

    def compute(self, predictions: Predictions) -> float:
        """Mean over classes of ``right / true``."""
        right, _, true = positives(predictions)
        return float(np.mean(ratio(right, true)))
