"""Focal loss of yes-or-no outputs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from backprop_cli.autodiff import Value
from backprop_cli.nn.loss import LOSSES
from backprop_cli.nn.losses._shared.binary_loss import BinaryLoss
from backprop_cli.nn.losses._shared.focal_cost import focal_cost
from backprop_cli.settings import Maybe, NonNegative


@LOSSES.register
class BinaryFocal(BinaryLoss):
    """``loss = mean(a * (1 - q)^gamma * -log(q))`` over batch and outputs, in nats; q is the probability of the target.

    Binary cross entropy that down-weights well-classified examples. For a target of 1, ``q = p`` and ``a = alpha``; for
    a target of 0, ``q = 1 - p`` and ``a = 1 - alpha``, with ``p = sigmoid(logits)``. Without ``alpha``, a is 1;
    ``gamma`` 0 is then binary_cross_entropy. A target between 0 and 1 costs the mean of both, weighted by the target.

    Shapes: logits, targets (batch, outputs) -> ()
    YAML:   {type: binary_focal, gamma: 2.0, alpha: 0.25}
    Source: Lin et al., Focal Loss for Dense Object Detection (2017), equations 4 and 5; as torchvision's
            sigmoid_focal_loss.
    """

    type: Literal["binary_focal"] = "binary_focal"
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"gamma": 0.5, "alpha": 0.3})
    gamma: NonNegative = 2.0
    """focusing parameter: larger values down-weight easy examples more"""
    alpha: Maybe[Annotated[float, Field(gt=0, lt=1)]] = None
    """weight of targets of 1; targets of 0 weigh 1 - alpha; none: all weigh 1"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        """``t * a_1 * sigmoid(-x)^gamma * softplus(-x) + (1 - t) * a_0 * sigmoid(x)^gamma * softplus(x)``."""
        self.check(outputs, targets)
        one, zero = (1.0, 1.0) if self.alpha is None else (self.alpha, 1.0 - self.alpha)
        yes, no = focal_cost(outputs, self.gamma), focal_cost(-outputs, self.gamma)
        return targets * (one * yes) + (1.0 - targets) * (zero * no)
