"""Gradient descent scaled by recent gradients."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from backprop_cli.autodiff import Value, maximum, sqrt, square
from backprop_cli.nn.optimizer import OPTIMIZERS, LearningRate, Optimizer, Scalars, ScalarSlots, Slots
from backprop_cli.settings import FREE, FractionBelowOne, Positive


@OPTIMIZERS.register
class Rmsprop(Optimizer):
    """``v <- alpha * v + (1 - alpha) * g^2``; ``direction = g / (sqrt(v) + epsilon)``.

    With ``centered``, v is replaced by the variance ``v - m^2``, ``m <- alpha * m + (1 - alpha) * g``; with momentum,
    the direction is ``b <- momentum * b + g / (sqrt(v) + epsilon)``.

    Shapes: g, v (slot mean_square), m (slot mean) and b (slot momentum) as the parameter -> direction as it
    YAML:   {type: rmsprop, alpha: 0.9, momentum: 0.9}
    Source: Hinton, Neural Networks for Machine Learning (2012), lecture 6e; centered: Graves, Generating Sequences
            with Recurrent Neural Networks (2013), equations 38 to 41; ``epsilon`` as in torch.optim.RMSprop.
    """

    type: Literal["rmsprop"] = "rmsprop"
    learning_rate: LearningRate = 1e-2
    """step size before the schedule"""
    alpha: FractionBelowOne = 0.99
    """share of the mean square kept"""
    epsilon: Annotated[Positive, FREE] = 1e-8
    """keeps the quotient finite; outside the root"""
    momentum: FractionBelowOne = 0.0
    """share of the last direction kept"""
    centered: bool = False
    """whether to scale by the variance, not by the mean square"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"momentum": 0.9}, {"momentum": 0.5, "centered": True})
    slots: ClassVar[tuple[str, ...]] = ("mean_square", "mean", "momentum")

    def slot_names(self) -> tuple[str, ...]:
        wanted = {"mean_square": True, "mean": self.centered, "momentum": self.momentum > 0}
        return tuple(name for name in self.slots if wanted[name])

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        v = self.alpha * slot["mean_square"] + (1.0 - self.alpha) * square(g)
        new = {"mean_square": v}
        spread = v
        if self.centered:
            new["mean"] = self.alpha * slot["mean"] + (1.0 - self.alpha) * g
            # Where the gradient does not change the difference is 0 but for rounding, which may be below 0.
            spread = maximum(v - square(new["mean"]), 0.0)
        direction = g / (sqrt(spread) + self.epsilon)
        if self.momentum:
            direction = new["momentum"] = self.momentum * slot["momentum"] + direction
        return direction, new

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """Hinton's mean square, or Graves's variance if centered; then momentum."""
        v = self.alpha * slot["mean_square"] + (1 - self.alpha) * g * g
        m = self.alpha * slot["mean"] + (1 - self.alpha) * g if self.centered else 0.0
        b = g / (math.sqrt(max(v - m * m, 0.0)) + self.epsilon)
        if self.momentum:
            b += self.momentum * slot["momentum"]
        new = {"mean_square": v, "mean": m, "momentum": b}
        return b, {name: new[name] for name in self.slot_names()}
