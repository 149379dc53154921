"""A drop when a metric stops improving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.nn.metric import better
from backprop_cli.nn.schedule import SCHEDULES, Clock, Factor, Schedule
from backprop_cli.settings import RESTARTS, Count, Fraction, NonNegative


@SCHEDULES.register
class Plateau(Schedule):
    """``scale`` is multiplied by ``factor`` after more than ``patience`` epochs in a row without a better value.

    Better means: by more than ``min_delta`` than the best so far; NaN is never better. A drop restarts the count.

    YAML:   {type: plateau, monitor: validation/loss, factor: 0.5, patience: 3}
    Raises: UsageError if no metric has the monitored name.
    Source: torch.optim.lr_scheduler.ReduceLROnPlateau, with an absolute threshold.
    """

    type: Literal["plateau"] = "plateau"
    monitor: Annotated[str, RESTARTS] = "validation/loss"
    """name of the metric, as in metrics.jsonl"""
    mode: Annotated[Literal["auto", "min", "max"], RESTARTS] = "auto"
    """whether smaller or larger is better; auto: as for the metric"""
    factor: Factor = 0.1
    """factor of the learning rate at a drop"""
    patience: Count = 10
    """number of epochs without improvement before a drop"""
    min_delta: NonNegative = 0.0
    """smallest change that counts as an improvement"""
    minimum: Fraction = 0.0
    """smallest share of the learning rate"""

    by_epoch: ClassVar[bool] = True
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"patience": 0, "minimum": 0.2})

    def start(self) -> dict[str, float]:
        """``scale`` 1, and no ``best``. An empty state means the same."""
        return {"scale": 1.0, "waited": 0.0}

    def observe(self, state: Mapping[str, float], metrics: Mapping[str, float]) -> dict[str, float]:
        """The state after an epoch: ``best`` value, epochs ``waited`` since it or since the last drop, ``scale``."""
        if self.monitor not in metrics:
            known = ", ".join(metrics)
            hint = did_you_mean(self.monitor, metrics)
            raise UsageError(f"schedule.monitor: unknown metric '{self.monitor}'; known: {known}{hint}")
        state = self.start() | dict(state)
        value, scale = metrics[self.monitor], state["scale"]
        if self._improves(value, state.get("best")):
            return {"scale": scale, "waited": 0.0, "best": value}
        waited = state["waited"] + 1.0
        if waited > self.patience:
            scale, waited = max(scale * self.factor, self.minimum), 0.0
        return {**state, "scale": scale, "waited": waited}

    def anew(self, state: Mapping[str, float]) -> dict[str, float]:
        return {**self.start(), "scale": state.get("scale", 1.0)}

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        return state.get("scale", 1.0)

    def _improves(self, value: float, best: float | None) -> bool:
        if best is None:
            return not math.isnan(value)
        mode = better(self.monitor) if self.mode == "auto" else self.mode
        return value > best + self.min_delta if mode == "max" else value < best - self.min_delta
