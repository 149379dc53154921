"""Mean absolute error."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Value, absolute
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.task import REGRESSION, Task


@LOSSES.register
class MeanAbsoluteError(Loss):
    """``loss = mean(|outputs - targets|)`` over batch and outputs; the derivative of a difference of 0 is 0.

    Shapes: outputs, targets (batch, outputs) -> ()
    YAML:   mean_absolute_error
    Source: Hastie, Tibshirani & Friedman, The Elements of Statistical Learning (2009), section 10.6;
            torch.nn.L1Loss.
    """

    type: Literal["mean_absolute_error"] = "mean_absolute_error"
    task: ClassVar[Task] = REGRESSION
    standardizes: ClassVar[bool] = True

    def costs(self, outputs: Value, targets: Value) -> Value:
        self.check(outputs, targets)
        return absolute(outputs - targets)
