"""The contract of a schedule: what the learning rate is multiplied by at a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings


@dataclass(frozen=True)
class Clock:
    """Where training is: ``step`` and ``epoch`` count from 1; ``total_steps`` is the planned length."""

    step: int
    epoch: int
    total_steps: int
    steps_per_epoch: int


class Schedule(Settings):
    """``learning_rate(step) = optimizer.learning_rate * warmup(step) * factor(step)``.

    ``warmup(step) = min(1, step / warmup_steps)``. What a schedule has seen (plateau's monitored values) is a
    plain dict that the caller keeps and that goes into the checkpoint.
    """

    type: str
    """kind of schedule"""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """steps over which the learning rate rises linearly from 0"""

    def start(self) -> dict[str, float]:
        """The state before the first step."""
        return {}

    def observe(self, state: Mapping[str, float], metrics: Mapping[str, float]) -> dict[str, float]:
        """The state after an epoch with these metrics (``validation/loss``, ...)."""
        return dict(state)

    def factor(self, clock: Clock, state: Mapping[str, float]) -> float:
        """The multiplier without the warm-up; 1 leaves the learning rate as it is."""
        raise NotImplementedError

    def multiplier(self, clock: Clock, state: Mapping[str, float]) -> float:
        """Warm-up times factor."""
        warm = min(1.0, clock.step / self.warmup_steps) if self.warmup_steps else 1.0
        return warm * self.factor(clock, state)


SCHEDULES: Registry[Schedule] = Registry("schedule", "schedules", "backprop_cli.nn.schedules")
ScheduleType = Annotated[Schedule, Choice(SCHEDULES)]
