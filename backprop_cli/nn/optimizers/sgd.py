"""Gradient descent, with or without momentum."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ValidationInfo, field_validator

from backprop_cli.autodiff import Value
from backprop_cli.nn.optimizer import OPTIMIZERS, Optimizer, Scalars, ScalarSlots, Slots
from backprop_cli.settings import FREE, FractionBelowOne, refusal


@OPTIMIZERS.register
class Sgd(Optimizer):
    """``direction = g``; with momentum ``b <- momentum * b + g``, ``direction = b`` (nesterov: ``g + momentum * b``).

    As in PyTorch the learning rate multiplies all of b, so a change of the rate acts at once.

    Shapes: g and b (slot momentum) as the parameter -> direction as the parameter
    YAML:   {type: sgd, learning_rate: 0.1, momentum: 0.9, nesterov: true}
    Source: Sutskever, Martens, Dahl & Hinton, On the Importance of Initialization and Momentum (2013), section 2;
            torch.optim.SGD with dampening 0.
    """

    type: Literal["sgd"] = "sgd"
    momentum: FractionBelowOne = 0.0
    """share of the last direction kept; 0: plain gradient descent, without a slot"""
    nesterov: Annotated[bool, FREE] = False
    """look ahead along the momentum"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True})
    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    @field_validator("nesterov")
    @classmethod
    def _needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise refusal("needs momentum greater than 0")
        return nesterov

    def slot_names(self) -> tuple[str, ...]:
        return self.slots if self.momentum else ()

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        if not self.momentum:
            return g, {}
        b = self.momentum * slot["momentum"] + g
        return (g + self.momentum * b if self.nesterov else b), {"momentum": b}

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """``b_t = momentum b + g``, and along it or, with nesterov, along ``g + momentum b_t``."""
        if self.momentum == 0:
            return g, {}
        b = self.momentum * slot["momentum"] + g
        return (g + self.momentum * b if self.nesterov else b), {"momentum": b}
