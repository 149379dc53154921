"""Cross entropy of independent yes-or-no outputs."""

from __future__ import annotations

from typing import Literal

import numpy as np

from backprop_cli.autodiff import Array, Value, softplus
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.losses._shared.binary_loss import BinaryLoss


@LOSSES.register
class BinaryCrossEntropy(BinaryLoss):
    """``loss = mean(-t * log(p) - (1 - t) * log(1 - p))``, ``p = sigmoid(logits)``, in nats.

    The mean is over batch and outputs. Targets are 0, 1 or between. The gradient is ``(p - t) / (batch * outputs)``.

    Shapes: logits, targets (batch, outputs) -> ()
    YAML:   binary_cross_entropy
    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 4.90.
    """

    type: Literal["binary_cross_entropy"] = "binary_cross_entropy"

    def costs(self, outputs: Value, targets: Value) -> Value:
        self.check(outputs, targets)
        # softplus(x) - t * x is shorter, but its terms cancel: at logit 20 and target 1 float32 has no digit left.
        return targets * softplus(-outputs) + (1.0 - targets) * softplus(outputs)

    def minimum(self, targets: Array, outputs: int) -> float:
        """The entropy of the targets: 0, or more if some are between 0 and 1."""
        t = targets.astype(np.float64)
        sides = [side * np.log(np.where(side > 0, side, 1.0)) for side in (t, 1.0 - t)]
        return float(-np.mean(sides[0] + sides[1]))
