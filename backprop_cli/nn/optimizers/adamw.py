"""Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from backprop_cli.autodiff import Value
from backprop_cli.nn.optimizer import OPTIMIZERS, Scalars, ScalarSlots, Slots
from backprop_cli.nn.optimizers._shared.moments import Adaptive
from backprop_cli.nn.schedule import CourseType, Scheduled
from backprop_cli.settings import FREE, Maybe, NonNegative


@OPTIMIZERS.register
class Adamw(Adaptive):
    """``direction = adam + weight_decay * parameter``: the decay is not divided by the gradient's size.

    ``adam`` is adam's direction, also with ``amsgrad``. Every parameter decays, including biases, as in PyTorch; a
    group can exclude them: ``groups: [{parameters: ["*.bias", "*norm*"], weight_decay: 0.0}]``.

    Shapes: g, m and v (slots of these names) as the parameter -> direction as the parameter
    YAML:   {type: adamw, weight_decay: 0.05}
    Source: Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019), algorithm 2; torch.optim.AdamW.
    """

    type: Literal["adamw"] = "adamw"
    weight_decay: Annotated[NonNegative, FREE] = 1e-2
    """share of a parameter that decays in a step, times the learning rate"""
    weight_decay_schedule: Annotated[Maybe[CourseType], FREE] = None
    """course of the weight decay over training, in addition to that of the learning rate; none: constant"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"weight_decay": 0.1, "amsgrad": True})

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        direction, new = self.adam(g, slot, scalar)
        return direction + scalar.get("weight_decay", self.weight_decay) * parameter, new

    def scheduled(self) -> dict[str, Scheduled]:
        schedule = self.weight_decay_schedule
        return {} if schedule is None else {"weight_decay": Scheduled(self.weight_decay, schedule)}

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """Algorithm 2: Adam's direction plus the decay."""
        direction, new = self.adam_formula(step, g, slot)
        return direction + self.weight_decay * parameter, new
