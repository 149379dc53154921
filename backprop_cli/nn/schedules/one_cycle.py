"""A cosine up, and a longer one down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from backprop_cli.nn.schedule import SCHEDULES, Clock, Schedule
from backprop_cli.settings import Fraction

Divisor = Annotated[float, Field(ge=1, allow_inf_nan=False)]


@SCHEDULES.register
class OneCycle(Schedule):
    """Half a cosine up from ``1 / start_divisor`` to 1, and one down to ``1 / (start_divisor * end_divisor)``.

    It reaches the top, ``optimizer.learning_rate``, at step ``warmup_fraction * total_steps``, the bottom at the last.

    YAML:   {type: one_cycle, warmup_fraction: 0.3}
    Source: Smith & Topin, Super-Convergence (2018), section 3; shape and defaults of
            torch.optim.lr_scheduler.OneCycleLR.
    """

    type: Literal["one_cycle"] = "one_cycle"
    warmup_fraction: Fraction = 0.3
    """share of the steps spent going up"""
    start_divisor: Divisor = 25.0
    """the learning rate starts at its top divided by this number"""
    end_divisor: Divisor = 1e4
    """the learning rate ends at its start divided by this number"""

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        start = 1.0 / self.start_divisor
        step, last = clock.step - 1, clock.total_steps - 1
        top = self.warmup_fraction * clock.total_steps - 1.0
        if step <= top:
            return _half_cosine(start, 1.0, step / top if top > 0 else 1.0)
        return _half_cosine(1.0, start / self.end_divisor, min(1.0, (step - top) / (last - top)) if last > top else 1.0)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))
