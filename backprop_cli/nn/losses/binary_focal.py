"""Binary cross entropy that looks away from what is right already."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from backprop_cli.autodiff import Array, Value, sigmoid
from backprop_cli.nn.loss import LOSSES, Loss, Task
from backprop_cli.nn.losses._shared.focal_cost import focal_cost
from backprop_cli.settings import Maybe


@LOSSES.register
class BinaryFocal(Loss):
    """``loss = mean(a * (1 - q)^gamma * -log(q))`` over batch and outputs, in nats; q is the probability of the target.

    ``q = p`` and ``a = alpha`` where the target is 1, ``q = 1 - p`` and ``a = 1 - alpha`` where it is 0, with
    ``p = sigmoid(logits)``; without ``alpha`` a is 1. ``gamma`` 0 without ``alpha`` is binary_cross_entropy. Targets
    between 0 and 1 cost the mean of both, weighted by the target.

    Shapes: logits, targets (batch, outputs) -> ()
    YAML:   {type: binary_focal, gamma: 2.0, alpha: 0.25}
    Source: Lin et al., Focal Loss for Dense Object Detection (2017), equations 4 and 5; as torchvision's
            sigmoid_focal_loss.
    """

    type: Literal["binary_focal"] = "binary_focal"
    task: ClassVar[Task] = "binary"
    applies: ClassVar[tuple[str, ...]] = ("sigmoid",)
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"gamma": 0.5, "alpha": 0.3})
    gamma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    """how much less what is predicted well counts"""
    alpha: Maybe[Annotated[float, Field(gt=0, lt=1)]] = None
    """weight of the targets 1, that of the targets 0 being 1 - alpha; none: all weigh 1"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        """``t * a_1 * sigmoid(-x)^gamma * softplus(-x) + (1 - t) * a_0 * sigmoid(x)^gamma * softplus(x)``."""
        self.check(outputs, targets)
        one, zero = (1.0, 1.0) if self.alpha is None else (self.alpha, 1.0 - self.alpha)
        yes, no = focal_cost(outputs, self.gamma), focal_cost(-outputs, self.gamma)
        return targets * (one * yes) + (1.0 - targets) * (zero * no)

    def least(self, targets: Array, outputs: int) -> float:
        """0; not known where targets are between 0 and 1."""
        return 0.0 if np.isin(targets, (0, 1)).all() else math.nan

    def activate(self, outputs: Value) -> Value:
        """Probabilities of 1."""
        return sigmoid(outputs)
