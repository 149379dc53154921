"""What the Adam family shares: decaying means of the gradient and of its square."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

from pydantic import Field

from backprop_cli.autodiff import Value, sqrt, square
from backprop_cli.nn.optimizer import Numbers, Optimizer, Scalars, Slots


class Moments(Optimizer):
    """``m <- beta1 * m + (1 - beta1) * g``, ``v <- beta2 * v + (1 - beta2) * g^2``, both from 0."""

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """share of the mean gradient kept"""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """share of the mean squared gradient kept"""
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-8
    """keeps the quotient finite; outside the root"""

    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def scalars(self, step: int) -> dict[str, float]:
        """What corrects both means for their start at 0, as numbers outside the long vectors.

        With ``root = sqrt(1 - beta2^step)``: ``m / (1 - beta1^step) / (sqrt(v) / root + epsilon)`` is
        ``m / (sqrt(v) + epsilon * root)`` times the number ``root / (1 - beta1^step)``.
        """
        root = math.sqrt(1.0 - self.beta2**step)
        return {"scale": root / (1.0 - self.beta1**step), "epsilon": self.epsilon * root}

    def moments(self, g: Value, slot: Slots) -> tuple[Value, Value]:
        """The new m and v."""
        m = self.beta1 * slot["m"] + (1.0 - self.beta1) * g
        v = self.beta2 * slot["v"] + (1.0 - self.beta2) * square(g)
        return m, v

    def adam(self, g: Value, slot: Slots, scalar: Scalars) -> tuple[Value, dict[str, Value]]:
        """The corrected mean over the root of the corrected mean square, and the new slots."""
        m, v = self.moments(g, slot)
        return m / (sqrt(v) + scalar["epsilon"]) * scalar["scale"], {"m": m, "v": v}

    def adam_formula(self, step: int, g: float, slot: Numbers) -> tuple[float, dict[str, float]]:
        """Adam's direction for one parameter in plain numbers, and the new slots."""
        m = self.beta1 * slot["m"] + (1 - self.beta1) * g
        v = self.beta2 * slot["v"] + (1 - self.beta2) * g * g
        m_hat, v_hat = m / (1 - self.beta1**step), v / (1 - self.beta2**step)
        return m_hat / (math.sqrt(v_hat) + self.epsilon), {"m": m, "v": v}
