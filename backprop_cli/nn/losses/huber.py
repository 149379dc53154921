"""Huber loss: squared near 0, absolute far from it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from backprop_cli.autodiff import Value, clip
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.task import REGRESSION, Task
from backprop_cli.settings import Positive


@LOSSES.register
class Huber(Loss):
    """``loss = mean(r^2 / 2 where |r| <= delta, else delta * (|r| - delta / 2))``, ``r = outputs - targets``.

    The mean is over batch and outputs. Value and gradient are continuous at ``|r| = delta``.

    Shapes: outputs, targets (batch, outputs) -> ()
    YAML:   {type: huber, delta: 1.0}
    Source: Huber, Robust Estimation of a Location Parameter (1964), section 1; scaled as PyTorch's HuberLoss.
    """

    type: Literal["huber"] = "huber"
    task: ClassVar[Task] = REGRESSION
    standardizes: ClassVar[bool] = True
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"delta": 0.5})
    delta: Positive = 1.0
    """difference from which the loss grows linearly: in deviations of a standardized target, else in its own unit"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        """``c * (r - c / 2)`` with ``c = clip(r, -delta, delta)``, which is both branches in one."""
        self.check(outputs, targets)
        residual = outputs - targets
        clipped = clip(residual, -self.delta, self.delta)
        return clipped * (residual - 0.5 * clipped)
