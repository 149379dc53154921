"""Cross entropy of one class among several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from backprop_cli.autodiff import Array, Value, softmax
from backprop_cli.nn.class_weight import ClassWeight, class_weights
from backprop_cli.nn.loss import LOSSES, Loss, Task
from backprop_cli.nn.softmax_cross_entropy import smoothed_entropy, softmax_cross_entropy


@LOSSES.register
class CrossEntropy(Loss):
    """``loss = mean(w[y] * -sum_c q[c] * log(p[c]))`` over the batch, ``p = softmax(logits)``, in nats.

    ``q[c] = (1 - label_smoothing) * (c == y) + label_smoothing / classes``. ``w`` is 1 unless ``class_weight`` says
    otherwise: ``balanced`` is ``examples / (classes * count[c])`` over the train split (1 for a class it lacks), a
    mapping names classes (1 for those it leaves out).

    The weighted sum is divided by the size of the batch, so that a batch's gradient is the mean of its examples'.
    PyTorch divides it by the sum of the batch's weights, and weights the smoothed part class by class.

    Shapes: logits (batch, classes), labels (batch,) -> ()
    YAML:   {type: cross_entropy, label_smoothing: 0.1, class_weight: balanced}
    Source: label smoothing: Szegedy et al., Rethinking the Inception Architecture (2016), section 7; balanced: King &
            Zeng, Logistic Regression in Rare Events Data (2001), as in scikit-learn.
    """

    type: Literal["cross_entropy"] = "cross_entropy"
    task: ClassVar[Task] = "classes"
    applies: ClassVar[tuple[str, ...]] = ("softmax", "log_softmax")
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"label_smoothing": 0.2}, {"class_weight": {0: 0.5, 2: 3}})
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of the target spread evenly over all classes"""
    class_weight: ClassWeight = "none"
    """none, balanced, or a weight by class name"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        """Cross entropy of q and p."""
        self.check(outputs, targets)
        return softmax_cross_entropy(outputs, targets, self.label_smoothing)

    def class_weights(self, classes: Sequence[Any], counts: Sequence[int]) -> NDArray[np.float64] | None:
        """As ``class_weight`` says. Raises: ClassWeightError."""
        return class_weights(self.class_weight, classes, counts)

    def least(self, targets: Array, outputs: int) -> float:
        """The entropy of q."""
        return smoothed_entropy(outputs, self.label_smoothing)

    def activate(self, outputs: Value) -> Value:
        """Probabilities of the classes."""
        return softmax(outputs)
