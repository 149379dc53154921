"""The contract of a schedule: a factor of the learning rate at each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import AfterValidator, Field

from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Count, Settings, refusal

Factor = Annotated[float, Field(gt=0, le=1)]
"""Factor of the learning rate at a drop."""


class Clock(NamedTuple):
    """The progress of training: ``step`` and ``epoch`` count from 1; ``total_steps`` is the planned length."""

    step: int
    epoch: int
    total_steps: int
    steps_per_epoch: int

    @property
    def progress(self) -> float:
        """Share of the planned steps before this one, in [0, 1]."""
        return min(1.0, (self.step - 1) / max(1, self.total_steps))


class Schedule(Settings):
    """``learning_rate(step) = optimizer.learning_rate * warmup(step) * scale(step)``.

    ``warmup(step) = min(1, step / warmup_steps)``. The state of a schedule (plateau's best value) is a plain dict that
    the caller keeps and that checkpoints store.
    """

    type: str
    """kind of schedule"""
    warmup_steps: Count = 0
    """steps over which the learning rate rises linearly from 0"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that tests build, in addition to those of the ``YAML:`` line."""
    by_epoch: ClassVar[bool] = False
    """``scale`` changes only between epochs, so it is computed once an epoch, not at every step."""

    def start(self) -> dict[str, float]:
        """The state before the first step."""
        return {}

    def observe(self, state: Mapping[str, float], metrics: Mapping[str, float]) -> dict[str, float]:
        """The state after an epoch with these metrics (``validation/loss``, ...), as JSON values."""
        return dict(state)

    def anew(self, state: Mapping[str, float]) -> dict[str, float]:
        """The state to continue with when another metric is monitored."""
        return self.start()

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        """The factor of the learning rate without the warm-up."""
        raise NotImplementedError

    def multiplier(self, clock: Clock, state: Mapping[str, float]) -> float:
        """Warm-up times scale."""
        warm = min(1.0, clock.step / self.warmup_steps) if self.warmup_steps else 1.0
        return warm * self.scale(clock, state)


SCHEDULES: Registry[Schedule] = Registry("schedule", "schedules", "backprop_cli.nn.schedules", Schedule)
ScheduleType = Annotated[Schedule, Choice(SCHEDULES)]


def _of_the_clock(schedule: Schedule) -> Schedule:
    if schedule.start():
        raise refusal(f"{schedule.type} follows a metric, and only the learning rate can; use another schedule")
    return schedule


CourseType = Annotated[ScheduleType, AfterValidator(_of_the_clock)]
"""A schedule of something else than the learning rate."""


class Scheduled(NamedTuple):
    """A number times a schedule."""

    value: float
    schedule: Schedule

    def at(self, clock: Clock) -> float:
        """The number at this step."""
        return self.value * self.schedule.multiplier(clock, {})
