"""Base of the Adam family: decaying means of the gradient and of its square."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

from pydantic import Field

from backprop_cli.autodiff import Value, maximum, sqrt
from backprop_cli.nn.optimizer import Numbers, Optimizer, Scalars, Slots
from backprop_cli.settings import FREE


class Moments(Optimizer):
    """``m <- beta1 * m + (1 - beta1) * g``, ``v <- beta2 * v + (1 - beta2) * g^2``, both from 0.

    The slots are ``m_sum = m / (1 - beta1)``, which saves a pass over all parameters, and ``v_scaled = 4^-k v / (1 -
    beta2)`` with the largest ``4^-k <= 1 - beta2``. It overflows only where the mean square itself does, and the power
    of two changes no bit of a direction.
    """

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """share of the mean gradient kept"""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """share of the mean squared gradient kept"""
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False), FREE] = 1e-8
    """keeps the quotient finite; outside the root"""

    slots: ClassVar[tuple[str, ...]] = ("m_sum", "v_scaled")

    @property
    def root_scale(self) -> float:
        """``2^-k``, a power of two: the root of ``v_scaled`` is ``2^-k * sqrt(v / (1 - beta2))``."""
        half = math.frexp(1.0 - self.beta2)[1] - 1  # 2^half is the largest power of two that is at most 1 - beta2
        return math.ldexp(1.0, half // 2)

    def scalars(self, step: int) -> dict[str, float]:
        """What makes Adam's means of the slots, as numbers outside the long vectors.

        With ``root = 2^-k sqrt((1 - beta2^step) / (1 - beta2))``: ``m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step))
        + epsilon)`` is ``m_sum / (sqrt(v_scaled) + epsilon * root)`` times the number
        ``root * (1 - beta1) / (1 - beta1^step)``.
        """
        beta1, beta2 = self.beta1, self.beta2
        root = self.root_scale * math.sqrt((1.0 - beta2**step) / (1.0 - beta2))
        return {"scale": root * (1.0 - beta1) / (1.0 - beta1**step), "epsilon": self.epsilon * root}

    def sums(self, g: Value, slot: Slots) -> dict[str, Value]:
        """The new slots."""
        return {
            "m_sum": self.beta1 * slot["m_sum"] + g,
            # The factor comes before the second gradient: the square of 1e19 is near the end of float32's range.
            "v_scaled": self.beta2 * slot["v_scaled"] + self.root_scale**2 * g * g,
        }

    def quotient(self, m_sum: Value, v_scaled: Value, scalar: Scalars) -> Value:
        """Adam's direction: the corrected mean over the root of the corrected mean square."""
        return m_sum / (sqrt(v_scaled) + scalar["epsilon"]) * scalar["scale"]

    def means(self, g: float, slot: Numbers) -> tuple[float, float, dict[str, float]]:
        """The new ``m`` and ``v`` of one parameter in plain numbers, and the slots they are remembered by."""
        m = self.beta1 * (1 - self.beta1) * slot["m_sum"] + (1 - self.beta1) * g
        v = self.beta2 * (1 - self.beta2) * slot["v_scaled"] / self.root_scale**2 + (1 - self.beta2) * g * g
        return m, v, {"m_sum": m / (1 - self.beta1), "v_scaled": self.root_scale**2 * v / (1 - self.beta2)}

    def quotient_formula(self, step: int, m: float, v: float) -> float:
        """Adam's direction for one parameter in plain numbers."""
        m_hat, v_hat = m / (1 - self.beta1**step), v / (1 - self.beta2**step)
        return m_hat / (math.sqrt(v_hat) + self.epsilon)


class Adaptive(Moments):
    """Adam's direction: ``m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + epsilon)``.

    With ``amsgrad``, v in it is the largest that it has been.
    """

    amsgrad: bool = False
    """divide by the largest mean square so far: a step never grows because gradients have become small"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"amsgrad": True})
    slots: ClassVar[tuple[str, ...]] = ("m_sum", "v_scaled", "v_largest")

    def slot_names(self) -> tuple[str, ...]:
        return self.slots if self.amsgrad else self.slots[:2]

    def adam(self, g: Value, slot: Slots, scalar: Scalars) -> tuple[Value, dict[str, Value]]:
        """The corrected mean over the root of the corrected mean square, and the new slots."""
        new = self.sums(g, slot)
        if self.amsgrad:
            new["v_largest"] = maximum(slot["v_largest"], new["v_scaled"])
        return self.quotient(new["m_sum"], new["v_largest" if self.amsgrad else "v_scaled"], scalar), new

    def adam_formula(self, step: int, g: float, slot: Numbers) -> tuple[float, dict[str, float]]:
        """Adam's direction for one parameter in plain numbers, and the new slots."""
        m, v, new = self.means(g, slot)
        if self.amsgrad:
            new["v_largest"] = max(slot["v_largest"], new["v_scaled"])
            v = new["v_largest"] * (1 - self.beta2) / self.root_scale**2
        return self.quotient_formula(step, m, v), new
