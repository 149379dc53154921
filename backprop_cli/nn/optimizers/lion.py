"""The sign of the momentum."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from backprop_cli.autodiff import Value, sign
from backprop_cli.nn.optimizer import OPTIMIZERS, LearningRate, Optimizer, Scalars, ScalarSlots, Slots
from backprop_cli.settings import FREE, FractionBelowOne, NonNegative


@OPTIMIZERS.register
class Lion(Optimizer):
    """``direction = sign(beta1 * m + (1 - beta1) * g) + weight_decay * parameter``.

    Then ``m <- beta2 * m + (1 - beta2) * g``, from 0. Every entry moves by the learning rate, so take one that is 3 to
    10 times smaller than for adamw, and a decay that is larger by as much. The sign of 0 is 0.

    Shapes: g and m (slot momentum) as the parameter -> direction as the parameter
    YAML:   {type: lion, learning_rate: 0.0001, weight_decay: 0.1}
    Source: Chen et al., Symbolic Discovery of Optimization Algorithms (2023), algorithm 2.
    """

    type: Literal["lion"] = "lion"
    learning_rate: LearningRate = 1e-4
    """step size before the schedule"""
    beta1: FractionBelowOne = 0.9
    """share of the momentum in the direction"""
    beta2: FractionBelowOne = 0.99
    """share of the momentum kept"""
    weight_decay: Annotated[NonNegative, FREE] = 0.0
    """share of a parameter that decays in a step, times the learning rate"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"weight_decay": 0.1})
    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        m = slot["momentum"]
        direction = sign(self.beta1 * m + (1.0 - self.beta1) * g)
        new = {"momentum": self.beta2 * m + (1.0 - self.beta2) * g}
        return (direction + self.weight_decay * parameter if self.weight_decay else direction), new

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """Algorithm 2: first the sign of the interpolation, then the momentum."""
        c = self.beta1 * slot["momentum"] + (1 - self.beta1) * g
        direction = (math.copysign(1, c) if c else 0.0) + self.weight_decay * parameter
        return direction, {"momentum": self.beta2 * slot["momentum"] + (1 - self.beta2) * g}
