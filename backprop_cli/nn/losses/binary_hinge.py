"""The margin by which a yes is above 0, and a no below."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from backprop_cli.autodiff import Array, Value, relu, sigmoid, square
from backprop_cli.nn.loss import LOSSES, Loss, Task


@LOSSES.register
class BinaryHinge(Loss):
    """``loss = mean(max(0, margin - s * x)^power)`` over batch and outputs, ``s = 2 t - 1``, x the network's scores.

    Targets are 0 or 1. With a network of one dense layer and l2 regularization it is the linear support vector machine.
    The derivative at the joint is 0. Predictions are the scores through a sigmoid, 1 where the score is above 0: their
    order is that of the scores, but they are no probabilities.

    Shapes: scores, targets (batch, outputs) -> ()
    YAML:   {type: binary_hinge, margin: 1.0, power: 2}
    Source: Cortes & Vapnik, Support-Vector Networks (1995), section 3; as scikit-learn's hinge_loss.
    """

    type: Literal["binary_hinge"] = "binary_hinge"
    task: ClassVar[Task] = "binary"
    applies: ClassVar[tuple[str, ...]] = ("sigmoid",)
    gives_probabilities: ClassVar[bool] = False
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"margin": 0.5, "power": 2})
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """how far from 0, on its side, a score must be to cost nothing"""
    power: Literal[1, 2] = 1
    """1: what is missing from the margin; 2: its square"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        """What is missing from the margin."""
        self.check(outputs, targets)
        missing = relu(self.margin - (2.0 * targets - 1.0) * outputs)
        return missing if self.power == 1 else square(missing)

    def least(self, targets: Array, outputs: int) -> float:
        """0; not known where targets are between 0 and 1."""
        return 0.0 if np.isin(targets, (0, 1)).all() else math.nan

    def activate(self, outputs: Value) -> Value:
        """Scores from 0 to 1."""
        return sigmoid(outputs)
