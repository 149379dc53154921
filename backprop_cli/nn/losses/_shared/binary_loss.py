"""Base of the losses of yes-or-no outputs."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from backprop_cli.autodiff import Array, Value, sigmoid
from backprop_cli.nn.loss import Loss
from backprop_cli.nn.task import BINARY, Task


class BinaryLoss(Loss):
    """A loss of 0 at targets 0 and 1, whose predictions are the sigmoid of the outputs."""

    task: ClassVar[Task] = BINARY
    applies: ClassVar[tuple[str, ...]] = ("sigmoid",)

    def minimum(self, targets: Array, outputs: int) -> float:
        return 0.0 if np.isin(targets, (0, 1)).all() else math.nan

    def activate(self, outputs: Value) -> Value:
        return sigmoid(outputs)
