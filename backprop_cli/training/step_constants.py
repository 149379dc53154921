"""The constants of steps: learning rates and the optimizers' scalars, computed some steps ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backprop_cli.nn.schedule import Clock
from backprop_cli.training.state import SCHEDULE, State
from backprop_cli.training.training_spec import TrainingSpec

if TYPE_CHECKING:
    from backprop_cli.execution.repetition import Rows

AHEAD = 256
"""Most steps whose constants are computed at a time: some 0.2 ms."""


class Constants(NamedTuple):
    """The constants of some steps, and the learning rates: the optimizer's own, not that of a parameter group.

    Shapes: rows float64 (steps, constants), columns as in ``Recipe.constants``; rates (steps,)
    """

    rows: Rows
    rates: Sequence[float]


class StepConstants:
    """The constants of the steps of a run. Scalars are computed ahead, what follows schedules not beyond the epoch."""

    def __init__(self, spec: TrainingSpec, state: State):
        self._spec, self._state = spec, state
        self._table = np.empty((AHEAD, len(spec.recipe.constants)))
        self._steps = self._rated = range(0)
        self._rates: list[float] = []
        self._epoch = 0
        columns = dict(zip(spec.recipe.constants, self._table.T, strict=True))
        self._rate_columns = [(columns[span.learning_rate], span.optimizer.learning_rate) for span in spec.recipe.spans]
        self._courses = [(columns[name], scheduled) for name, scheduled in spec.recipe.scheduled.items()]
        self._scalar_columns = [(span.optimizer, span.scalars(columns)) for span in spec.recipe.spans]

    def after(self, step: int, left: int) -> Constants:
        """The constants of at least the next step after ``step``; ``left`` are left in the epoch.

        The rows are valid until the next call.
        """
        if step + 1 not in self._steps:
            self._set_scalars(step + 1)
        if self._epoch != self._state.epoch or step + 1 not in self._rated:
            self._set_rates(range(step + 1, min(step + 1 + left, self._steps.stop)))
        row, end = step + 1 - self._steps.start, self._rated.stop - self._steps.start
        return Constants((self._table, row), self._rates[row - end :])

    def _set_scalars(self, first: int) -> None:
        self._steps = self._rated = range(0)
        planned = max(first, min(first + AHEAD - 1, self._spec.total_steps))
        steps = range(first, planned + 1)
        for optimizer, columns in self._scalar_columns:
            if columns:
                scalars = list(map(optimizer.scalars, steps))
                for name, column in columns.items():
                    column[: len(steps)] = [each[name] for each in scalars]
        self._steps = steps

    def _set_rates(self, steps: range) -> None:
        self._rated = range(0)
        rows = slice(steps.start - self._steps.start, steps.stop - self._steps.start)
        scales = self._scales(steps)  # one for all steps, or one for each
        for column, own in self._rate_columns:
            column[rows] = [own * scale for scale in scales]
        for column, scheduled in self._courses:
            column[rows] = [scheduled.at(Clock(step, *self._calendar())) for step in steps]
        base, self._epoch = self._spec.recipe.optimizer.learning_rate, self._state.epoch
        self._rates = [base * scale for scale in scales] * (len(steps) // len(scales))
        self._rated = steps

    def _calendar(self) -> tuple[int, int, int]:
        return self._state.epoch, self._spec.total_steps, self._spec.steps_per_epoch

    def _scales(self, steps: range) -> list[float]:
        """The multipliers of the learning rate: a single one if it is constant."""
        schedule, memory, calendar = self._spec.schedule, self._state.memory.get(SCHEDULE, {}), self._calendar()
        is_constant = schedule.by_epoch and steps.start >= schedule.warmup_steps
        return [schedule.multiplier(Clock(step, *calendar), memory) for step in (steps[:1] if is_constant else steps)]
