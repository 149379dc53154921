"""A drop every few epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from backprop_cli.nn.schedule import SCHEDULES, Clock, Factor, Schedule
from backprop_cli.settings import PositiveInt


@SCHEDULES.register
class Step(Schedule):
    """``scale = factor^floor((epoch - 1) / every_epochs)``.

    YAML:   {type: step, every_epochs: 10, factor: 0.1}
    Source: torch.optim.lr_scheduler.StepLR.
    """

    type: Literal["step"] = "step"
    every_epochs: PositiveInt = 10
    """epochs between drops"""
    factor: Factor = 0.1
    """factor of the learning rate at a drop"""

    by_epoch: ClassVar[bool] = True

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        return self.factor ** ((clock.epoch - 1) // self.every_epochs)
