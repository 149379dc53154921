"""Hinge loss of yes-or-no outputs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from backprop_cli.autodiff import Value, relu, square
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.losses._shared.binary_loss import BinaryLoss
from backprop_cli.settings import Positive


@LOSSES.register
class BinaryHinge(BinaryLoss):
    """``loss = mean(max(0, margin - s * x)^power)`` over batch and outputs, ``s = 2 t - 1``, x the network's scores.

    Targets are 0 or 1. With a network of one dense layer and l2 regularization it is the linear support vector machine.
    The derivative at the kink is 0. Predictions are the sigmoid of the scores: they have the order of the scores, but
    are not probabilities. The predicted label is 1 if the score is above 0.

    Shapes: scores, targets (batch, outputs) -> ()
    YAML:   {type: binary_hinge, margin: 1.0, power: 2}
    Source: Cortes & Vapnik, Support-Vector Networks (1995), section 3; as scikit-learn's hinge_loss.
    """

    type: Literal["binary_hinge"] = "binary_hinge"
    gives_probabilities: ClassVar[bool] = False
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"margin": 0.5, "power": 2})
    margin: Positive = 1.0
    """distance from 0 from which a score on the right side costs nothing"""
    power: Literal[1, 2] = 1
    """1: the cost is the distance to the margin; 2: its square"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        self.check(outputs, targets)
        missing = relu(self.margin - (2.0 * targets - 1.0) * outputs)
        return missing if self.power == 1 else square(missing)
