"""Counts of true and predicted labels, from which precision, recall and F1 are computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backprop_cli.nn.metric import Predictions

Counts = NDArray[np.int64]
Array = NDArray[np.float64]


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> Counts:
    """``counts[i, j]`` examples of class i predicted as class j.

    Shapes: labels, predicted (examples,), each in [0, classes) -> (classes, classes)
    """
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def positives(predictions: Predictions) -> tuple[Counts, Counts, Counts]:
    """For each class: numbers of correct predictions, of predictions, and of examples.

    Classes that are neither predicted nor true are left out, as in scikit-learn. Of each binary output the 1s count.
    """
    if not predictions.task.has_labels:
        predicted, true = predictions.labels, predictions.targets.astype(np.int64)
        return (predicted * true).sum(axis=0), predicted.sum(axis=0), true.sum(axis=0)
    counts = confusion(predictions.targets.astype(np.int64), predictions.labels, predictions.outputs.shape[1])
    predicted, true = counts.sum(axis=0), counts.sum(axis=1)
    seen = (predicted + true) > 0
    return np.diag(counts)[seen], predicted[seen], true[seen]


def ratio(part: Counts, whole: Counts) -> Array:
    """``part / whole``; 0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
