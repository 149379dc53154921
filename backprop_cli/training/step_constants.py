"""The constants of steps: learning rates and the optimizers' scalars, computed some steps ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.nn.schedule import Clock
from backprop_cli.training.state import SCHEDULE, State
from backprop_cli.training.training_spec import TrainingSpec

AHEAD = 256
"""Most steps to compute constants for at a time: some 0.2 ms."""


class Constants(NamedTuple):
    """The constants of some steps, and the learning rates: the optimizer's own, not that of a parameter group.

    Shapes: table (steps, constants), columns as in ``Recipe.constants``; rates (steps,)
    """

    table: Array
    rates: Sequence[float]


class StepConstants:
    """The constants of the steps of an epoch."""

    def __init__(self, spec: TrainingSpec, state: State):
        self._spec, self._state = spec, state
        self._table = np.empty((AHEAD, len(spec.recipe.constants)), spec.recipe.model.dtype)
        self._rates: list[float] = []
        self._epoch, self._first = 0, 0

    def after(self, step: int, left: int) -> Constants:
        """The constants of at least the next step after ``step``; ``left`` are left in the epoch.

        The table is valid until the next call.
        """
        begin = step + 1 - self._first
        if self._epoch != self._state.epoch or not 0 <= begin < len(self._rates):
            self._rates, self._epoch, self._first, begin = [], self._state.epoch, step + 1, 0
            self._rates = self._fill(range(step + 1, step + 1 + min(left, AHEAD)))
        return Constants(self._table[begin : len(self._rates)], self._rates[begin:])

    def _fill(self, steps: range) -> list[float]:
        """Write the table; returns the learning rates."""
        recipe, scales = self._spec.recipe, self._scales(steps)
        columns = iter(self._table[: len(steps)].T)
        for span in recipe.spans:
            own = span.optimizer.learning_rate
            next(columns)[...] = [own * scale for scale in scales]
            scalars = [span.optimizer.scalars(step) for step in steps]
            for name in scalars[0]:
                next(columns)[...] = [each[name] for each in scalars]
        return [recipe.optimizer.learning_rate * scale for scale in scales]

    def _scales(self, steps: range) -> list[float]:
        """The multipliers of the learning rate."""
        spec, schedule = self._spec, self._spec.schedule
        calendar, memory = (self._epoch, spec.total_steps, spec.steps_per_epoch), self._state.memory.get(SCHEDULE, {})
        varied = [step for step in steps if step <= schedule.warmup_steps] if schedule.by_epoch else steps
        scales = [schedule.multiplier(Clock(step, *calendar), memory) for step in varied]
        if len(scales) < len(steps):
            scales += [schedule.multiplier(Clock(steps[-1], *calendar), memory)] * (len(steps) - len(scales))
        return scales
