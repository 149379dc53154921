"""How well the scores order two classes."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.errors import UsageError
from backprop_cli.nn.loss import Task
from backprop_cli.nn.metric import METRICS, Array, Metric, Predictions


@METRICS.register
class RocAuc(Metric):
    """Area under the ROC curve: how often a positive example scores higher than a negative one; ties count half.

    For two classes (the second is the positive one) or one binary output. NaN where one of the two is missing from
    the split, or a score is NaN.

    YAML:   roc_auc
    Raises: UsageError for more classes or binary outputs.
    Source: Hanley & McNeil, The Meaning and Use of the Area under a ROC Curve (1982): the rank-sum statistic.
    """

    type: Literal["roc_auc"] = "roc_auc"
    tasks: ClassVar[tuple[Task, ...]] = ("classes", "binary")
    better: ClassVar[Literal["max", "min"]] = "max"

    def misfit(self, task: Task, outputs: int) -> str | None:
        """More than two classes, or than one binary output."""
        if outputs == _WIDTH[task]:
            return None
        what = "classes" if task == "classes" else "binary outputs"
        return f"'roc_auc' needs two classes or one binary output, and the data has {outputs} {what}; leave it out"

    def compute(self, predictions: Predictions) -> float:
        """``(rank sum of positives - p (p + 1) / 2) / (p * n)`` for p positives and n negatives."""
        scores = _scores(predictions)
        positive = predictions.targets.reshape(-1) == 1
        count = int(np.count_nonzero(positive))
        if not 0 < count < len(positive) or np.isnan(scores).any():
            return math.nan
        excess = _ranks(scores)[positive].sum() - count * (count + 1) / 2
        return float(excess / (count * (len(positive) - count)))


_WIDTH = {"classes": 2, "binary": 1}


def _scores(predictions: Predictions) -> Array:
    width = predictions.outputs.shape[1]
    if width != _WIDTH[predictions.task]:
        what = "classes" if predictions.task == "classes" else "binary outputs"
        raise UsageError(f"metric roc_auc: needs two classes or one binary output, got {width} {what}; leave it out")
    return predictions.outputs[:, -1].astype(np.float64)


def _ranks(scores: Array) -> Array:
    """Ranks from 1, equals sharing the mean of theirs."""
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks
