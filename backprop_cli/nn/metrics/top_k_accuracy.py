"""The share of labels among the k most probable classes."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from backprop_cli.errors import Problem
from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import CLASSES, TOKENS, Task
from backprop_cli.settings import PositiveInt


@METRICS.register
class TopKAccuracy(Metric):
    """Share of examples whose label is among the ``k`` most probable classes (of equals, the first); 1 with k classes.

    For tokens: the share of positions.

    YAML:   {type: top_k_accuracy, k: 3}
    """

    type: Literal["top_k_accuracy"] = "top_k_accuracy"
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, TOKENS)
    better: ClassVar[Literal["max", "min"]] = "max"
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"k": 2}, {"k": 1})
    k: PositiveInt = 5
    """number of most probable classes that count"""

    def problem(self, task: Task, outputs: int) -> Problem | None:
        if self.k < outputs:
            return None
        way_out = f"set k to at most {outputs - 1}" if outputs > 2 else "use accuracy"
        reason = f"'top_k_accuracy' with k: {self.k} is always 1, as the data has {outputs} {task.output_noun[1]}"
        return Problem((), reason, way_out)

    def compute(self, predictions: Predictions) -> float:
        if predictions.tokens is not None:
            return predictions.tokens.within(self.k)
        labels = predictions.targets.astype(np.int64)[:, np.newaxis]
        probs = predictions.outputs
        own = np.take_along_axis(probs, labels, axis=1)
        before = (probs > own) | ((probs == own) & (np.arange(probs.shape[1]) < labels))
        return float(np.mean(np.count_nonzero(before, axis=1) < self.k))
