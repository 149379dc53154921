"""Adam with Nesterov momentum."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from backprop_cli.autodiff import Value, sqrt
from backprop_cli.nn.optimizer import OPTIMIZERS, LearningRate, Scalars, ScalarSlots, Slots
from backprop_cli.nn.optimizers._shared.moments import Moments
from backprop_cli.settings import NonNegative


@OPTIMIZERS.register
class Nadam(Moments):
    """``direction = (a * g + b * m) / (sqrt(v / (1 - beta2^step)) + epsilon)``, m and v as in adam.

    With the momentum schedule ``mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2)`` and ``M(t)`` the product of
    ``mu(1)`` to ``mu(t)``: ``a = (1 - mu(t)) / (1 - M(t))``, ``b = mu(t + 1) / (1 - M(t + 1))``.

    Shapes: g, m and v (slots of these names) as the parameter -> direction as the parameter
    YAML:   {type: nadam, learning_rate: 0.002}
    Source: Dozat, Incorporating Nesterov Momentum into Adam (2016), algorithm 2; torch.optim.NAdam.
    """

    type: Literal["nadam"] = "nadam"
    learning_rate: LearningRate = 2e-3
    """step size before the schedule"""
    momentum_decay: NonNegative = 4e-3
    """speed at which the momentum rises to beta1"""

    def scalars(self, step: int) -> dict[str, float]:
        """Weights of the gradient and of ``m``, and the bias correction of ``v``."""
        product = self._product(step)
        ahead = self._momentum(step + 1)
        return {
            "g_weight": (1.0 - self._momentum(step)) / (1.0 - product),
            "m_weight": ahead / (1.0 - product * ahead),
            "v_scale": 1.0 / (1.0 - self.beta2**step),
        }

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        new = self.means(g, slot)
        ahead = g * scalar["g_weight"] + new["m"] * scalar["m_weight"]
        return ahead / (sqrt(new["v"] * scalar["v_scale"]) + self.epsilon), new

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """Algorithm 2 with ``mu_t`` of section 2: ``m_bar / (sqrt(v_hat) + epsilon)``."""
        mu = [self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay)) for t in range(1, step + 2)]
        new = self.means_formula(g, slot)
        g_hat, m_hat = g / (1 - math.prod(mu[:-1])), new["m"] / (1 - math.prod(mu))
        m_bar = (1 - mu[-2]) * g_hat + mu[-1] * m_hat
        return m_bar / (math.sqrt(new["v"] / (1 - self.beta2**step)) + self.epsilon), new

    def _momentum(self, step: int) -> float:
        return self.beta1 * (1.0 - 0.5 * float(0.96 ** (step * self.momentum_decay)))

    def _product(self, step: int) -> float:
        """``mu(1) * ... * mu(step)``, without the factors that cannot change ``1 - product`` in float64."""
        if self.beta1 == 0:
            return 0.0
        enough = math.ceil(math.log(2.0**-60) / math.log(self.beta1))
        steps = np.arange(1, min(step, enough) + 1)
        return float(np.prod(self.beta1 * (1.0 - 0.5 * 0.96 ** (steps * self.momentum_decay))))
