"""A straight line from 1 down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from backprop_cli.nn.schedule import SCHEDULES, Clock, Schedule
from backprop_cli.settings import Fraction


@SCHEDULES.register
class Linear(Schedule):
    """``scale = 1 + (to - 1) * (step - 1) / total_steps``.

    YAML:   {type: linear, to: 0.1}
    """

    type: Literal["linear"] = "linear"
    to: Fraction = 0.0
    """share of the learning rate left at the end"""

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        return 1.0 + (self.to - 1.0) * clock.progress
