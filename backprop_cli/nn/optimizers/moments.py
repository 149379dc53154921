"""What the Adam family shares: decaying means of the gradient and of its square."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

from pydantic import Field

from backprop_cli.autodiff import Value, maximum, sqrt, square
from backprop_cli.nn.optimizer import Numbers, Optimizer, Scalars, Slots


class Moments(Optimizer):
    """``m <- beta1 * m + (1 - beta1) * g``, ``v <- beta2 * v + (1 - beta2) * g^2``, both from 0.

    What is remembered are ``m_sum = m / (1 - beta1)`` and ``v_sum = v / (1 - beta2)``: a pass over all parameters less
    for each.
    """

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """share of the mean gradient kept"""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """share of the mean squared gradient kept"""
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-8
    """keeps the quotient finite; outside the root"""

    slots: ClassVar[tuple[str, ...]] = ("m_sum", "v_sum")

    def scalars(self, step: int) -> dict[str, float]:
        """What makes Adam's means of the sums, as numbers outside the long vectors.

        With ``root = sqrt((1 - beta2^step) / (1 - beta2))``: ``m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) +
        epsilon)`` is ``m_sum / (sqrt(v_sum) + epsilon * root)`` times the number
        ``root * (1 - beta1) / (1 - beta1^step)``.
        """
        beta1, beta2 = self.beta1, self.beta2
        root = math.sqrt((1.0 - beta2**step) / (1.0 - beta2))
        return {"scale": root * (1.0 - beta1) / (1.0 - beta1**step), "epsilon": self.epsilon * root}

    def sums(self, g: Value, slot: Slots) -> dict[str, Value]:
        """The new slots."""
        return {
            "m_sum": self.beta1 * slot["m_sum"] + g,
            "v_sum": self.beta2 * slot["v_sum"] + square(g),
        }

    def quotient(self, m_sum: Value, v_sum: Value, scalar: Scalars) -> Value:
        """Adam's direction: the corrected mean over the root of the corrected mean square."""
        return m_sum / (sqrt(v_sum) + scalar["epsilon"]) * scalar["scale"]

    def means(self, g: float, slot: Numbers) -> tuple[float, float, dict[str, float]]:
        """The new ``m`` and ``v`` of one parameter in plain numbers, and the slots they are remembered by."""
        m = self.beta1 * (1 - self.beta1) * slot["m_sum"] + (1 - self.beta1) * g
        v = self.beta2 * (1 - self.beta2) * slot["v_sum"] + (1 - self.beta2) * g * g
        return m, v, {"m_sum": m / (1 - self.beta1), "v_sum": v / (1 - self.beta2)}

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
    slots: ClassVar[tuple[str, ...]] = ("m_sum", "v_sum", "v_largest")

    def slot_names(self) -> tuple[str, ...]:
        """The sums, and what amsgrad remembers."""
        return self.slots if self.amsgrad else self.slots[:2]

    def adam(self, g: Value, slot: Slots, scalar: Scalars) -> tuple[Value, dict[str, Value]]:
        """The corrected mean over the root of the corrected mean square, and the new slots."""
        new = self.sums(g, slot)
        if self.amsgrad:
            new["v_largest"] = maximum(slot["v_largest"], new["v_sum"])
        return self.quotient(new["m_sum"], new["v_largest" if self.amsgrad else "v_sum"], scalar), new

    def adam_formula(self, step: int, g: float, slot: Numbers) -> tuple[float, dict[str, float]]:
        """Adam's direction for one parameter in plain numbers, and the new slots."""
        m, v, new = self.means(g, slot)
        if self.amsgrad:
            v = max((1 - self.beta2) * slot["v_largest"], v)
            new["v_largest"] = v / (1 - self.beta2)
        return self.quotient_formula(step, m, v), new
