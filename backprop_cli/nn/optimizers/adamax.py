"""Adam with the largest gradient in place of the root of the mean square."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from backprop_cli.autodiff import Value, absolute, maximum
from backprop_cli.nn.optimizer import OPTIMIZERS, LearningRate, Optimizer, Scalars, ScalarSlots, Slots
from backprop_cli.settings import FREE, FractionBelowOne, Positive


@OPTIMIZERS.register
class Adamax(Optimizer):
    """``direction = m / (1 - beta1^step) / u``, ``u <- max(beta2 * u, |g| + epsilon)``.

    ``m <- beta1 * m + (1 - beta1) * g``; both start at 0. ``epsilon`` is inside the maximum, as in PyTorch. The slot
    of m is ``m_sum = m / (1 - beta1)``.

    Shapes: g, m and u (slot largest) as the parameter -> direction as the parameter
    YAML:   {type: adamax, learning_rate: 0.002}
    Source: Kingma & Ba, Adam (2015), algorithm 2; torch.optim.Adamax.
    """

    type: Literal["adamax"] = "adamax"
    learning_rate: LearningRate = 2e-3
    """step size before the schedule"""
    beta1: FractionBelowOne = 0.9
    """share of the mean gradient kept"""
    beta2: FractionBelowOne = 0.999
    """share of the largest gradient kept"""
    epsilon: Annotated[Positive, FREE] = 1e-8
    """keeps the quotient finite"""

    slots: ClassVar[tuple[str, ...]] = ("m_sum", "largest")

    def scalars(self, step: int) -> dict[str, float]:
        """``scale`` turns ``m_sum`` into the bias-corrected mean."""
        return {"scale": (1.0 - self.beta1) / (1.0 - self.beta1**step)}

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        m_sum = self.beta1 * slot["m_sum"] + g
        u = maximum(self.beta2 * slot["largest"], absolute(g) + self.epsilon)
        return m_sum / u * scalar["scale"], {"m_sum": m_sum, "largest": u}

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """Algorithm 2: ``m_t / ((1 - beta1^t) u_t)``."""
        m = self.beta1 * (1 - self.beta1) * slot["m_sum"] + (1 - self.beta1) * g
        u = max(self.beta2 * slot["largest"], abs(g) + self.epsilon)
        return m / (1 - self.beta1**step) / u, {"m_sum": m / (1 - self.beta1), "largest": u}
