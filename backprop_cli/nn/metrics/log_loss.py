"""Mean negative log-probability of the labels."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import BINARY, CLASSES, Task


@METRICS.register
class LogLoss(Metric):
    """``mean(-log(p[label]))`` in nats; over all binary outputs. As in scikit-learn.

    It is cross_entropy, or binary_cross_entropy, without smoothing and weights, whatever the training loss.
    Probabilities are clipped to [eps, 1 - eps] with the precision of their format: 1.2e-7 for float32.

    YAML:   log_loss
    """

    type: Literal["log_loss"] = "log_loss"
    tasks: ClassVar[tuple[Task, ...]] = (CLASSES, BINARY)
    better: ClassVar[Literal["max", "min"]] = "min"
    needs_probabilities: ClassVar[bool] = True

    def compute(self, predictions: Predictions) -> float:
        tiny = float(np.finfo(predictions.outputs.dtype).eps)
        probs, labels = predictions.outputs.astype(np.float64), predictions.targets.astype(np.int64)
        if predictions.task.has_labels:
            own = np.take_along_axis(probs, labels[:, None], axis=1)
        else:
            own = np.where(labels == 1, probs, 1.0 - probs)
        return float(np.mean(-np.log(np.clip(own, tiny, 1.0 - tiny))))
