"""The learning rate range test: a few steps at a rate that grows until the loss does, too."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.errors import DivergenceError
from backprop_cli.nn.schedule import Clock, Schedule
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.events import OnProgress, Step
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State
from backprop_cli.training.training_spec import TrainingSpec

Floats = NDArray[np.float64]

STEPS = 100
"""Updates from the first rate to the last."""
_KEPT = 0.9
"""Share of the mean so far in the smoothed loss: it is a mean over some 10 updates, a tenth of the range."""
_LEAST_FALL = 0.05
"""Share of its size by which the smoothed loss must have fallen for the test to say something."""


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What each update came to. ``suggestion``: a learning rate, or None; ``reason``: how it was chosen, or why not.

    ``stopped``: why the test ended before its last rate; empty where it did not.

    Shapes: rates, losses (of the batches, before the update at that rate) and smoothed (updates,).
    """

    rates: Floats
    losses: Floats
    smoothed: Floats
    suggestion: float | None
    reason: str
    stopped: str = ""


class _Growing(Schedule):
    """``learning_rate(step) = low * (high / low)^((step - first) / (STEPS - 1))``, whatever the optimizer's own is."""

    type: Literal["growing"] = "growing"
    low: float
    high: float
    base: float
    first: int

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        """Relative to the optimizer's rate; parameter groups keep their own relation to it."""
        growth: float = (self.high / self.low) ** ((clock.step - self.first) / (STEPS - 1))
        return self.low / self.base * growth


def range_test(
    spec: TrainingSpec,
    state: State,
    low: float,
    high: float,
    watch: Stopwatch | None = None,
    progress: OnProgress | None = None,
) -> RangeTest:
    """Train from ``state``, which is advanced, at rates that grow exponentially from ``low`` to ``high``.

    It ends before ``high`` where the loss is not finite, or the smoothed loss has risen above the first one by as much
    as that is itself. What is suggested is a tenth of the rate at which the smoothed loss is lowest: there it is about
    to rise, and is still what the rates before have made it. (Where it falls fastest is lost in the noise of the first
    batches: on small data sets that was now and then the first rate.) ``progress`` is told of the steps that are done.

    Source: Smith, Cyclical Learning Rates for Training Neural Networks (2017), section 3.3; exponential growth, the
            smoothed loss and the tenth as in Gugger, How Do You Find A Good Learning Rate (2018).
    """
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    stopped = ""
    mean = 0.0
    try:
        for step in _steps(spec, state, low, high, watch):
            mean = _KEPT * mean + (1.0 - _KEPT) * step.loss
            rates.append(step.learning_rate)
            losses.append(step.loss)
            if progress is not None:
                progress("learning rates", len(rates), STEPS)
            smoothed.append(mean / (1.0 - _KEPT ** len(losses)))  # without the 0 that the mean began with
            if smoothed[-1] - smoothed[0] > abs(smoothed[0]):
                stopped = f"the smoothed loss is {smoothed[-1]:.4g}, and was {smoothed[0]:.4g} at first"
                break
    except DivergenceError:
        stopped = "the loss or a parameter is not finite any more"
    found = np.array(rates), np.array(losses), np.array(smoothed)
    return RangeTest(*found, *_chosen(found[0], found[2]), stopped)


def _steps(spec: TrainingSpec, state: State, low: float, high: float, watch: Stopwatch | None) -> Iterator[Step]:
    base = spec.recipe.optimizer.learning_rate
    growing = _Growing(low=low, high=high, base=base, first=state.step + 1)
    more = {"epochs": state.epoch + STEPS, "max_steps": state.step + STEPS}
    settings = spec.settings.model_copy(update=more)
    test = dataclasses.replace(
        spec, schedule=growing, settings=settings, validation=None, metrics=(), best=None, early_stopping=None
    )
    for event in Trainer(test, state, watch).run():
        if isinstance(event, Step):
            yield event


def _chosen(rates: Floats, smoothed: Floats) -> tuple[float | None, str]:
    """The rate to suggest, and how it was chosen."""
    if len(rates) < 2:
        return None, "the loss is not finite from the start; begin at a lower rate"
    lowest = int(np.argmin(smoothed))
    fall = smoothed[0] - smoothed[lowest]
    if lowest == 0 or fall < _LEAST_FALL * abs(smoothed[0]):
        return None, "the loss falls at no rate of this range; try another, or check the data and the network"
    rate = rates[lowest]
    told = f"a tenth of {rate:.2g}, where the smoothed loss is lowest"
    if lowest == len(rates) - 1:
        told += "; that is the end of the range: a higher one may show more"
    return float(f"{rate / 10:.2g}"), told


def check_range(low: float, high: float) -> str:
    """What is wrong with a range of rates; empty where nothing is."""
    if not (0 < low < math.inf and 0 < high < math.inf):
        return "a learning rate is a number greater than 0"
    return "" if low < high else "the last rate must be greater than the first"
