"""Stochastic weight averaging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from backprop_cli.nn.average import AVERAGES, Average, StepEnd
from backprop_cli.settings import PositiveInt


@AVERAGES.register
class Swa(Average):
    """The mean of the parameters at the ends of epochs, from ``from_epoch`` on.

    Before the end of that epoch the parameters themselves are used. A high learning rate (schedule constant, or a
    cosine to a high minimum) makes the averaged networks differ. Running statistics of batch_norm are averaged too;
    the paper recomputes them in a pass over the data.

    YAML:   {type: swa, from_epoch: 20, every: 2}
    Source: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (2018), algorithm 1.
    """

    type: Literal["swa"] = "swa"
    from_epoch: PositiveInt
    """first epoch in the average"""
    every: PositiveInt = 1
    """epochs from one averaged network to the next"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({"from_epoch": 1}, {"from_epoch": 2, "every": 2})

    def share(self, at: StepEnd) -> float | None:
        since = at.epoch - self.from_epoch
        if since < 0 or (since == 0 and not at.ends_epoch):
            return None
        return 1.0 / (since // self.every + 1) if at.ends_epoch and since % self.every == 0 else 0.0

    def formula(self, history: Sequence[tuple[StepEnd, float]]) -> float:
        """The arithmetic mean."""
        due = [
            x
            for at, x in history
            if at.ends_epoch and at.epoch >= self.from_epoch and (at.epoch - self.from_epoch) % self.every == 0
        ]
        return sum(due) / len(due) if due else history[-1][1]
