"""The learning rate range test: a few steps at a growing rate, until the loss rises."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.errors import DivergenceError
from backprop_cli.nn.schedule import Clock, Schedule
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.structs import Struct
from backprop_cli.training.events import OnProgress, Step
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State
from backprop_cli.training.training_spec import TrainingSpec

Floats = NDArray[np.float64]

STEPS = 100
"""Updates from the first rate to the last."""
_KEPT = 0.9
"""Decay of the smoothed loss: a mean over about 10 updates, a tenth of the range."""
_FLAT = 0.05
"""The loss is flat where it is above the lowest by at most this share of its fall."""
_WIDE = 10.0
"""Ratio of the rates at the two ends of a flat part at which its end says nothing."""
_LEAST_FALL = 0.05
"""Relative fall of the smoothed loss below which the test suggests nothing."""


class RangeTest(Struct, eq=False):
    """The loss at each rate. ``suggestion``: a learning rate, or None; ``reason``: why this one, or why none.

    ``stopped``: why the test ended before its last rate; empty if it did not.

    Shapes: rates, losses (of the batches, before the update at that rate) and smoothed (updates,).
    """

    rates: Floats
    losses: Floats
    smoothed: Floats
    suggestion: float | None
    reason: str
    stopped: str = ""


class _Growing(Schedule):
    """``learning_rate(step) = low * (high / low)^((step - first) / (STEPS - 1))``; the optimizer's own rate cancels."""

    type: Literal["growing"] = "growing"
    low: float
    high: float
    base: float
    first: int

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        """The multiplier of the optimizer's rate; rates of parameter groups keep their ratio to it."""
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

    It ends before ``high`` if the loss is not finite, or if the smoothed loss has risen by the absolute value of the
    first one. The suggestion is a tenth of the rate with the lowest smoothed loss: there the loss is about to rise, and
    lower rates brought it down. If the loss is flat over a decade before, chance decides where it is lowest; then it is
    a tenth of the rate at which the flat part begins. (The rate of the fastest fall is lost in the noise of the first
    batches: on small data sets it was sometimes the first rate.) ``progress`` is called after each step.

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
            smoothed.append(mean / (1.0 - _KEPT ** len(losses)))  # corrects for the initial 0
            if smoothed[-1] - smoothed[0] > abs(smoothed[0]):
                stopped = f"the smoothed loss is {smoothed[-1]:.4g}, and was {smoothed[0]:.4g} at first"
                break
    except DivergenceError:
        stopped = "the loss or a parameter is no longer finite"
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
    """The rate to suggest and the reason."""
    if len(rates) < 2:
        return None, "the loss is not finite from the start; begin at a lower rate"
    lowest = int(np.argmin(smoothed))
    fall = smoothed[0] - smoothed[lowest]
    if lowest == 0 or fall < _LEAST_FALL * abs(smoothed[0]):
        return None, "the loss falls at no rate of this range; try another, or check the data and the network"
    rate = rates[lowest]
    reason = f"a tenth of {rate:.2g}, where the smoothed loss is lowest"
    reached = rates[np.argmax(smoothed <= smoothed[lowest] + _FLAT * fall)]
    if rate >= _WIDE * reached:
        flat = f"where the smoothed loss has done {1 - _FLAT:.0%} of its fall: it is flat from there to {rate:.2g}"
        return float(f"{reached / 10:.2g}"), f"a tenth of {reached:.2g}, {flat}"
    if lowest == len(rates) - 1:
        reason += "; that is the end of the range: a higher one may show more"
    return float(f"{rate / 10:.2g}"), reason


def check_range(low: float, high: float) -> str:
    """The problem with a range of rates; empty if it is valid."""
    if not (0 < low < math.inf and 0 < high < math.inf):
        return "a learning rate is a number greater than 0"
    return "" if low < high else "the last rate must be greater than the first"
