"""Mean error of predicted quantiles."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import REGRESSION, Task


@METRICS.register
class PinballLoss(Metric):
    """``mean(max(q * r, (q - 1) * r))``, ``r = targets - outputs``, over examples, outputs and the loss's quantiles q.

    With other losses than quantile, q is 0.5: half the mean absolute error. In the target's unit. As scikit-learn's
    mean_pinball_loss.

    YAML:   pinball_loss
    Source: Koenker & Bassett, Regression Quantiles (1978), section 3.
    """

    type: Literal["pinball_loss"] = "pinball_loss"
    tasks: ClassVar[tuple[Task, ...]] = (REGRESSION,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        targets = predictions.targets.astype(np.float64)
        levels = np.array(predictions.levels or (0.5,))
        residuals = targets[..., None] - predictions.outputs.astype(np.float64).reshape(*targets.shape, len(levels))
        return float(np.mean(np.maximum(levels * residuals, (levels - 1.0) * residuals)))
