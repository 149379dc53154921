"""Steps in the unit of the parameters: the ratio of past steps to past gradients."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from backprop_cli.autodiff import Value, sqrt, square
from backprop_cli.nn.optimizer import OPTIMIZERS, LearningRate, Optimizer, Scalars, ScalarSlots, Slots
from backprop_cli.settings import FREE, FractionBelowOne, Positive


@OPTIMIZERS.register
class Adadelta(Optimizer):
    """``direction = sqrt(d + epsilon) / sqrt(v + epsilon) * g``, with ``d`` the mean of the squares of past directions.

    ``v <- rho * v + (1 - rho) * g^2`` and, after the step, ``d <- rho * d + (1 - rho) * direction^2``, both from 0.

    Shapes: g, v (slot mean_square) and d (slot mean_square_step) as the parameter -> direction as the parameter
    YAML:   {type: adadelta, rho: 0.95}
    Source: Zeiler, ADADELTA: An Adaptive Learning Rate Method (2012), algorithm 1, times a learning rate as in
            torch.optim.Adadelta.
    """

    type: Literal["adadelta"] = "adadelta"
    learning_rate: LearningRate = 1.0
    """step size before the schedule; 1 in the paper"""
    rho: FractionBelowOne = 0.9
    """share of the mean squares kept"""
    epsilon: Annotated[Positive, FREE] = 1e-6
    """inside both roots; lets the first step move"""

    slots: ClassVar[tuple[str, ...]] = ("mean_square", "mean_square_step")

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        v = self.rho * slot["mean_square"] + (1.0 - self.rho) * square(g)
        # Two roots: under a single root the ratio overflows float32 for gradients of 1e18.
        direction = sqrt(slot["mean_square_step"] + self.epsilon) / sqrt(v + self.epsilon) * g
        d = self.rho * slot["mean_square_step"] + (1.0 - self.rho) * square(direction)
        return direction, {"mean_square": v, "mean_square_step": d}

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """Algorithm 1, lines 4 to 6: ``RMS[dx]_{t-1} / RMS[g]_t * g_t``."""
        v = self.rho * slot["mean_square"] + (1 - self.rho) * g * g
        direction = math.sqrt(slot["mean_square_step"] + self.epsilon) / math.sqrt(v + self.epsilon) * g
        d = self.rho * slot["mean_square_step"] + (1 - self.rho) * direction * direction
        return direction, {"mean_square": v, "mean_square_step": d}
