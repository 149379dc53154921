"""Adaptive moment estimation."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import Value
from backprop_cli.nn.optimizer import OPTIMIZERS, Scalars, ScalarSlots, Slots
from backprop_cli.nn.optimizers._shared.moments import Adaptive


@OPTIMIZERS.register
class Adam(Adaptive):
    """``direction = m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + epsilon)``.

    ``m <- beta1 * m + (1 - beta1) * g``, ``v <- beta2 * v + (1 - beta2) * g^2``, both from 0; ``epsilon`` is outside
    the root, as in PyTorch. With ``amsgrad``, the direction divides by the largest v so far.

    Shapes: g, m and v (slots of these names) as the parameter -> direction as the parameter
    YAML:   {type: adam, learning_rate: 0.001}
    Source: Kingma & Ba, Adam (2015), algorithm 1; amsgrad: Reddi, Kale & Kumar, On the Convergence of Adam and
            Beyond (2018), algorithm 2, with the corrections of torch.optim.Adam.
    """

    type: Literal["adam"] = "adam"

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        return self.adam(g, slot, scalar)

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """Algorithm 1: the bias-corrected ``m_hat / (sqrt(v_hat) + epsilon)``."""
        return self.adam_formula(step, g, slot)
