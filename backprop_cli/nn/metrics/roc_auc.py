"""The area under the ROC curve."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.errors import Problem, UsageError
from backprop_cli.nn.metric import METRICS, Array, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, Task


@METRICS.register
class RocAuc(Metric):
    """Area under the ROC curve: share of pairs with a higher score of the positive example than of the negative one.

    Ties count half. Of two classes the second is positive. Of more, each is positive once, against the rest; the areas
    are averaged equally (macro) or weighted by the examples of each class (weighted). Several binary outputs are
    averaged likewise, weighted by their 1s. As in scikit-learn with ``multi_class="ovr"``, except for NaN instead of an
    error if the split lacks a class or has only one. A NaN score gives NaN.

    YAML:   {type: roc_auc, average: weighted}
    Raises: UsageError for a single class.
    Source: Hanley & McNeil, The Meaning and Use of the Area under a ROC Curve (1982): the rank-sum statistic; one
            against the rest: Provost & Domingos, Well-Trained PETs (2000), section 6.2.
    """

    type: Literal["roc_auc"] = "roc_auc"
    average: Literal["macro", "weighted"] = "macro"
    """for more than two classes or several binary outputs: equal weights, or by number of examples"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"average": "weighted"})
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY)
    better: ClassVar[Literal["max", "min"]] = "max"

    def problem(self, task: Task, outputs: int) -> Problem | None:
        if not task.has_labels or outputs > 1:
            return None
        return Problem((), f"'roc_auc' needs at least two classes, and the data has {outputs}", "leave it out")

    def compute(self, predictions: Predictions) -> float:
        scores, positive = _columns(predictions)
        areas = np.array([_area(*column) for column in zip(scores.T, positive.T, strict=True)])
        if self.average == "macro":
            return float(np.mean(areas))
        weights = positive.sum(axis=0)
        if predictions.task.has_labels and not weights.all():
            return math.nan
        present = weights > 0  # a binary output without a 1 has no area and weight 0
        return float(np.average(areas[present], weights=weights[present])) if present.any() else math.nan


def _columns(predictions: Predictions) -> tuple[Array, NDArray[np.bool_]]:
    """Scores of the class or output that is positive in each column, and its labels.

    Shapes: (examples, columns), both
    """
    scores = predictions.outputs.astype(np.float64)
    if not predictions.task.has_labels:
        return scores, predictions.targets.reshape(scores.shape) == 1
    classes = scores.shape[1]
    if classes < 2:
        raise UsageError(f"metric roc_auc: needs at least two classes, got {classes}; leave it out")
    first = 1 if classes == 2 else 0
    return scores[:, first:], predictions.targets.reshape(-1, 1) == np.arange(first, classes)


def _area(scores: Array, positive: NDArray[np.bool_]) -> float:
    """``(rank sum of positives - p (p + 1) / 2) / (p * n)`` for p positives and n negatives."""
    count = int(np.count_nonzero(positive))
    if not 0 < count < len(positive) or np.isnan(scores).any():
        return math.nan
    excess = _ranks(scores)[positive].sum() - count * (count + 1) / 2
    return float(excess / (count * (len(positive) - count)))


def _ranks(scores: Array) -> Array:
    """Ranks from 1, equals sharing the mean of theirs."""
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks
