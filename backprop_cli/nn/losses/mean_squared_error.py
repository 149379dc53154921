"""Mean squared error."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Value, square
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.task import REGRESSION, Task


@LOSSES.register
class MeanSquaredError(Loss):
    """``loss = mean((outputs - targets)^2)`` over batch and outputs, in the target's unit squared.

    Shapes: outputs, targets (batch, outputs) -> ()
    YAML:   mean_squared_error
    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 1.2; scaled as torch.nn.MSELoss.
    """

    type: Literal["mean_squared_error"] = "mean_squared_error"
    task: ClassVar[Task] = REGRESSION
    standardizes: ClassVar[bool] = True

    def costs(self, outputs: Value, targets: Value) -> Value:
        self.check(outputs, targets)
        return square(outputs - targets)
