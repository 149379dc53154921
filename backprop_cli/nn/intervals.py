"""Split conformal prediction: intervals of numbers and sets of classes that hold the truth with a given probability."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.nn.task import Task
from backprop_cli.structs import Struct

Floats = NDArray[np.float64]


class Intervals(Struct, eq=False):
    """What is predicted with every example, fitted on ``n`` held-out ones that training has not seen.

    A score says how far a prediction is from the truth: ``|y - target|``, or ``1 - p`` of the true class. ``largest``
    is the ``ceil((n + 1) level)``-th smallest one. An interval reaches ``largest`` to both sides. A set has the classes
    with a score of at most ``largest``, and the most probable one. If the examples are exchangeable, a new truth is
    inside with a probability of at least ``level``.

    Shapes: largest (targets,), or (1,) for one class among several
    Source: Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005); Lei, G'Sell, Rinaldo, Tibshirani &
            Wasserman, Distribution-Free Predictive Inference for Regression (2018), algorithm 2; for sets Sadinle, Lei
            & Wasserman, Least Ambiguous Set-Valued Classifiers with Bounded Error Levels (2019).
    """

    level: float
    largest: Floats

    @classmethod
    def fit(cls, level: float, task: Task, predicted: NDArray[Any], targets: NDArray[Any]) -> Intervals:
        """Intervals from held-out predictions: numbers (examples, targets), or probabilities (examples, outputs)."""
        scores = np.sort(own_scores(task, predicted, targets), axis=0)
        rank = math.ceil(round((len(scores) + 1) * level, 9))
        if rank > len(scores):
            return cls(level, np.full(scores.shape[1], math.inf))
        return cls(level, scores[rank - 1])

    def bounds(self, numbers: NDArray[Any]) -> tuple[Floats, Floats]:
        """The ends of the intervals of numbers (examples, targets)."""
        return numbers - self.largest, numbers + self.largest

    def sets(self, task: Task, probs: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether a class is in the set: (examples, classes), or for binary targets (examples, targets, 2)."""
        each = (
            probs.astype(np.float64) if task.has_labels else np.stack([1.0 - probs, probs], axis=2).astype(np.float64)
        )
        largest = self.largest if task.has_labels else self.largest[:, None]
        return np.asarray((1.0 - each <= largest) | (each == each.max(axis=-1, keepdims=True)))

    def holds(self, task: Task, predicted: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether the interval or set of each example holds its truth (examples, targets)."""
        if task.has_unit:
            return np.asarray(own_scores(task, predicted, targets) <= self.largest)
        found = self.sets(task, predicted)
        labels = targets.astype(np.int64)[..., None]
        return np.take_along_axis(found, labels, axis=-1).reshape(len(found), -1)


def fewest(level: float) -> int:
    """The fewest held-out examples for finite intervals of this level."""
    return math.ceil(round(level / (1.0 - level), 9))


def own_scores(task: Task, predicted: NDArray[Any], targets: NDArray[Any]) -> Floats:
    """``|y - target|``, or ``1 - p`` of the true class; float64 (examples, targets)."""
    if task.has_unit:
        return np.abs(predicted.astype(np.float64) - targets.astype(np.float64))
    probs = predicted.astype(np.float64)
    if task.has_labels:
        return 1.0 - np.take_along_axis(probs, targets.astype(np.int64)[:, None], axis=1)
    return np.where(targets >= 0.5, 1.0 - probs, 1.0 - (1.0 - predicted).astype(np.float64))
