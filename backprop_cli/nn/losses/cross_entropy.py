"""Cross entropy of one class among several."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from backprop_cli.autodiff import Array, Value
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.losses._shared.class_loss import ClassLoss
from backprop_cli.nn.losses._shared.softmax_cross_entropy import smoothed_entropy, softmax_cross_entropy
from backprop_cli.settings import FractionBelowOne


@LOSSES.register
class CrossEntropy(ClassLoss):
    """``loss = mean(w[y] * -sum_c q[c] * log(p[c]))`` over the batch, ``p = softmax(logits)``, in nats.

    ``q[c] = (1 - label_smoothing) * (c == y) + label_smoothing / classes``. ``w`` is 1 unless ``class_weight`` says
    otherwise. ``balanced`` is ``examples / (classes * count[c])`` over the train split (1 for a class it lacks). A
    mapping gives weights by class name (1 for those it leaves out).

    The weighted sum is divided by the size of the batch, so that a batch's gradient is the mean of its examples'.
    PyTorch divides by the sum of the batch's weights, and weights the smoothed part class by class.

    Shapes: logits (batch, classes), labels (batch,) -> ()
    YAML:   {type: cross_entropy, label_smoothing: 0.1, class_weight: balanced}
    Source: label smoothing: Szegedy et al., Rethinking the Inception Architecture (2016), section 7; balanced: King &
            Zeng, Logistic Regression in Rare Events Data (2001), as in scikit-learn.
    """

    type: Literal["cross_entropy"] = "cross_entropy"
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"label_smoothing": 0.2}, {"class_weight": {0: 0.5, 2: 3}})
    label_smoothing: FractionBelowOne = 0.0
    """share of the target spread evenly over all classes"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        self.check(outputs, targets)
        return softmax_cross_entropy(outputs, targets, self.label_smoothing)

    def minimum(self, targets: Array, outputs: int) -> float:
        """The entropy of q."""
        return smoothed_entropy(outputs, self.label_smoothing)
