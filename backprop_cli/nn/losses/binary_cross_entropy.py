"""Cross entropy of independent yes-or-no outputs."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.autodiff import Array, Value, sigmoid, softplus
from backprop_cli.nn.loss import LOSSES, Loss, Task


@LOSSES.register
class BinaryCrossEntropy(Loss):
    """``loss = mean(-t * log(p) - (1 - t) * log(1 - p))``, ``p = sigmoid(logits)``, in nats.

    The mean is over batch and outputs. Targets are 0, 1 or between. Its gradient is ``(p - t) / (batch * outputs)``.

    Shapes: logits, targets (batch, outputs) -> ()
    YAML:   binary_cross_entropy
    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 4.90.
    """

    type: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    task: ClassVar[Task] = "binary"
    applies: ClassVar[tuple[str, ...]] = ("sigmoid",)

    def costs(self, outputs: Value, targets: Value) -> Value:
        """``t * softplus(-logits) + (1 - t) * softplus(logits)``."""
        self.check(outputs, targets)
        # softplus(x) - t * x is shorter, but cancels: at logit 20 and target 1 float32 would have no digit left.
        return targets * softplus(-outputs) + (1.0 - targets) * softplus(outputs)

    def least(self, targets: Array, outputs: int) -> float:
        """Where the probabilities are the targets: 0, and more where those are between 0 and 1."""
        t = targets.astype(np.float64)
        sides = [side * np.log(np.where(side > 0, side, 1.0)) for side in (t, 1.0 - t)]
        return float(-np.mean(sides[0] + sides[1]))

    def activate(self, outputs: Value) -> Value:
        """Probabilities of 1."""
        return sigmoid(outputs)
