"""A constant factor every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from backprop_cli.nn.schedule import SCHEDULES, Clock, Factor, Schedule


@SCHEDULES.register
class Exponential(Schedule):
    """``scale = factor^(epoch - 1)``.

    YAML:   {type: exponential, factor: 0.95}
    Source: torch.optim.lr_scheduler.ExponentialLR.
    """

    type: Literal["exponential"] = "exponential"
    factor: Factor = 0.95
    """factor of the learning rate after an epoch"""

    by_epoch: ClassVar[bool] = True

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        return self.factor ** (clock.epoch - 1)
