"""Adam whose first steps do not divide by an unreliable mean square."""

from __future__ import annotations

import math
from typing import Literal

from backprop_cli.autodiff import Value, sqrt
from backprop_cli.nn.optimizer import OPTIMIZERS, Scalars, ScalarSlots, Slots
from backprop_cli.nn.optimizers._shared.moments import Moments


@OPTIMIZERS.register
class Radam(Moments):
    """``direction = r * m_hat / (sqrt(v / (1 - beta2^step)) + epsilon')``; the plain mean ``m_hat`` while ``rho <= 5``.

    ``m_hat = m / (1 - beta1^step)``, m and v as in adam. ``rho = rho_inf - 2 step beta2^step / (1 - beta2^step)`` is
    the length of the average behind v, ``rho_inf = 2 / (1 - beta2) - 1``, and
    ``r^2 = (rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho)``. As in PyTorch ``epsilon`` is added to
    ``sqrt(v)`` before its correction: ``epsilon' = epsilon / sqrt(1 - beta2^step)``.

    Shapes: g, m and v (slots of these names) as the parameter -> direction as the parameter
    YAML:   {type: radam, learning_rate: 0.001}
    Source: Liu et al., On the Variance of the Adaptive Learning Rate and Beyond (2020), algorithm 2; torch.optim.RAdam.
    """

    type: Literal["radam"] = "radam"

    def scalars(self, step: int) -> dict[str, float]:
        """Constants of ``m / (root_weight * sqrt(v) + offset) * scale``, which covers both cases."""
        mean = 1.0 / (1.0 - self.beta1**step)
        rectified = self._rectification(step)
        if rectified == 0:
            return {"root_weight": 0.0, "offset": 1.0, "scale": mean}
        root = math.sqrt(1.0 - self.beta2**step)
        return {"root_weight": 1.0, "offset": self.epsilon, "scale": mean * root * rectified}

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        """The corrected mean, divided by the rectified root of the mean square once that is reliable."""
        new = self.means(g, slot)
        return new["m"] / (sqrt(new["v"]) * scalar["root_weight"] + scalar["offset"]) * scalar["scale"], new

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """Algorithm 2, lines 7 to 15."""
        new = self.means_formula(g, slot)
        m_hat, rho_inf = new["m"] / (1 - self.beta1**step), 2 / (1 - self.beta2) - 1
        rho = rho_inf - 2 * step * self.beta2**step / (1 - self.beta2**step)
        if rho <= 5:
            return m_hat, new
        adaptive = math.sqrt(1 - self.beta2**step) / (math.sqrt(new["v"]) + self.epsilon)
        r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        return m_hat * r * adaptive, new

    def _rectification(self, step: int) -> float:
        """The factor r; 0 while the average behind v is too short."""
        longest = 2.0 / (1.0 - self.beta2) - 1.0
        length = longest - 2.0 * step * self.beta2**step / (1.0 - self.beta2**step)
        if length <= 5:
            return 0.0
        return math.sqrt((1 - 4 / length) * (length - 2) / ((1 - 4 / longest) * (longest - 2)))
