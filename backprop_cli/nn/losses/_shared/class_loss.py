"""What losses of one class among several share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Value, softmax
from backprop_cli.nn.loss import Loss, Task
from backprop_cli.nn.losses._shared.class_weight import ClassWeight, class_weights


class ClassLoss(Loss):
    """A loss of labels, whose examples may weigh what their class does."""

    task: ClassVar[Task] = "classes"
    applies: ClassVar[tuple[str, ...]] = ("softmax", "log_softmax")
    class_weight: ClassWeight = "none"
    """none, balanced, or a weight by class name"""

    def class_weights(self, classes: Sequence[Any], counts: Sequence[int]) -> NDArray[np.float64] | None:
        """As ``class_weight`` says. Raises: ClassWeightError."""
        return class_weights(self.class_weight, classes, counts)

    def activate(self, outputs: Value) -> Value:
        """Numbers from 0 to 1 that sum to 1: where the outputs are logits, the probabilities of the classes."""
        return softmax(outputs)
