"""Base of the Adam family: decaying means of the gradient and of its square."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

from backprop_cli.autodiff import Value, maximum, sqrt
from backprop_cli.nn.optimizer import Optimizer, Scalars, ScalarSlots, Slots
from backprop_cli.settings import FREE, FractionBelowOne, Positive


class Moments(Optimizer):
    """``m <- beta1 * m + (1 - beta1) * g``, ``v <- beta2 * v + (1 - beta2) * g^2``, both from 0."""

    beta1: FractionBelowOne = 0.9
    """share of the mean gradient kept"""
    beta2: FractionBelowOne = 0.999
    """share of the mean squared gradient kept"""
    epsilon: Annotated[Positive, FREE] = 1e-8
    """keeps the quotient finite; outside the root"""

    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def former_slots(self) -> dict[str, tuple[str, float]]:
        # Checkpoints once held m / (1 - beta1), and v scaled by a power of 4 over 1 - beta2.
        half = math.frexp(1.0 - self.beta2)[1] - 1  # 2^half is the largest power of two that is at most 1 - beta2
        scale = (1.0 - self.beta2) / math.ldexp(1.0, half // 2) ** 2
        return {"m": ("m_sum", 1.0 - self.beta1), "v": ("v_scaled", scale), "v_max": ("v_largest", scale)}

    def scalars(self, step: int) -> dict[str, float]:
        """Both bias corrections as numbers outside the long vectors.

        With ``root = sqrt(1 - beta2^step)``: ``m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + epsilon)`` is
        ``m / (sqrt(v) + epsilon * root) * root / (1 - beta1^step)``.
        """
        root = math.sqrt(1.0 - self.beta2**step)
        return {"scale": root / (1.0 - self.beta1**step), "epsilon": self.epsilon * root}

    def means(self, g: Value, slot: Slots) -> dict[str, Value]:
        """The new slots."""
        return {
            "m": self.beta1 * slot["m"] + (1.0 - self.beta1) * g,
            # The factor comes before the second gradient: the square of 1e19 is near the end of float32's range.
            "v": self.beta2 * slot["v"] + (1.0 - self.beta2) * g * g,
        }

    def quotient(self, m: Value, v: Value, scalar: Scalars) -> Value:
        """Adam's direction: the corrected mean over the root of the corrected mean square."""
        return m / (sqrt(v) + scalar["epsilon"]) * scalar["scale"]

    def means_formula(self, g: float, slot: ScalarSlots) -> dict[str, float]:
        """The new slots of one parameter in plain numbers."""
        m = self.beta1 * slot["m"] + (1 - self.beta1) * g
        v = self.beta2 * slot["v"] + (1 - self.beta2) * g**2
        return {"m": m, "v": v}

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
    slots: ClassVar[tuple[str, ...]] = ("m", "v", "v_max")

    def slot_names(self) -> tuple[str, ...]:
        return self.slots if self.amsgrad else self.slots[:2]

    def adam(self, g: Value, slot: Slots, scalar: Scalars) -> tuple[Value, dict[str, Value]]:
        """The corrected mean over the root of the corrected mean square, and the new slots."""
        new = self.means(g, slot)
        if self.amsgrad:
            new["v_max"] = maximum(slot["v_max"], new["v"])
        return self.quotient(new["m"], new["v_max" if self.amsgrad else "v"], scalar), new

    def adam_formula(self, step: int, g: float, slot: ScalarSlots) -> tuple[float, dict[str, float]]:
        """Adam's direction for one parameter in plain numbers, and the new slots."""
        new = self.means_formula(g, slot)
        if self.amsgrad:
            new["v_max"] = max(slot["v_max"], new["v"])
        return self.quotient_formula(step, new["m"], new["v_max" if self.amsgrad else "v"]), new
