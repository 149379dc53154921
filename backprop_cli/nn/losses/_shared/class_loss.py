"""Base of the losses of one class among several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Value, softmax
from backprop_cli.nn.loss import Loss
from backprop_cli.nn.losses._shared.class_weight import ClassWeight, class_weights
from backprop_cli.nn.task import CLASSES, Task


class ClassLoss(Loss):
    """A loss of class labels, whose examples may be weighted by class."""

    task: ClassVar[Task] = CLASSES
    applies: ClassVar[tuple[str, ...]] = ("softmax", "log_softmax")
    class_weight: ClassWeight = "none"
    """none, balanced, or a weight by class name"""

    def class_weights(self, classes: Sequence[Any], counts: Sequence[int]) -> NDArray[np.float64] | None:
        return class_weights(self.class_weight, classes, counts)

    def activate(self, outputs: Value) -> Value:
        """``softmax(outputs)``: the probabilities of the classes if the outputs are logits."""
        return softmax(outputs)
