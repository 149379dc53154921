"""Gradient descent scaled by all past gradients."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from backprop_cli.autodiff import Value, sqrt, square
from backprop_cli.nn.optimizer import OPTIMIZERS, LearningRate, Optimizer, Scalars, ScalarSlots, Slots
from backprop_cli.settings import FREE, NonNegative, Positive


@OPTIMIZERS.register
class Adagrad(Optimizer):
    """``s <- s + g^2``; ``direction = g / (sqrt(s) + epsilon)``.

    Shapes: g and s (slot sum_of_squares) as the parameter -> direction as the parameter
    YAML:   {type: adagrad, learning_rate: 0.01}
    Source: Duchi, Hazan & Singer, Adaptive Subgradient Methods (2011), figure 1, diagonal; torch.optim.Adagrad.
    """

    type: Literal["adagrad"] = "adagrad"
    learning_rate: LearningRate = 1e-2
    """step size before the schedule"""
    initial_accumulator: NonNegative = 0.0
    """starting value of the sum of squares"""
    epsilon: Annotated[Positive, FREE] = 1e-10
    """keeps the quotient finite; outside the root"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"initial_accumulator": 0.1})
    slots: ClassVar[tuple[str, ...]] = ("sum_of_squares",)

    def slot_start(self, name: str) -> float:
        return self.initial_accumulator

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        s = slot["sum_of_squares"] + square(g)
        return g / (sqrt(s) + self.epsilon), {"sum_of_squares": s}

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """``s = s + g^2``, ``g / (sqrt(s) + epsilon)``."""
        s = slot["sum_of_squares"] + g * g
        return g / (math.sqrt(s) + self.epsilon), {"sum_of_squares": s}
