"""Cosine of the angle between outputs and targets."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Array, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class CosineSimilarity(Metric):
    """``mean(<outputs, targets> / (|outputs| |targets|))`` over the examples: 1 in the same direction, -1 opposite.

    0 for a row of zeros. As in scikit-learn.

    YAML:   cosine_similarity
    """

    type: Literal["cosine_similarity"] = "cosine_similarity"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "max"

    def compute(self, predictions: Predictions) -> float:
        predicted, given = predictions.numbers, predictions.targets.astype(np.float64)
        return float(np.mean(np.sum(_directions(predicted) * _directions(given), axis=1)))


def _directions(rows: Array) -> Array:
    """Rows of length 1; of zeros where they were."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)
