"""A drop when progress stops."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from backprop_cli.errors import UsageError, did_you_mean
from backprop_cli.nn.metric import better
from backprop_cli.nn.schedule import SCHEDULES, Clock, Factor, Schedule
from backprop_cli.settings import RESTARTS, Fraction


@SCHEDULES.register
class Plateau(Schedule):
    """``scale`` is multiplied by ``factor`` after more than ``patience`` epochs in a row without a better value.

    Better than the best so far by more than ``min_delta``; NaN is never better. The count starts again at a drop.

    YAML:   {type: plateau, monitor: validation/loss, factor: 0.5, patience: 3}
    Raises: UsageError where no metric has the monitored name.
    Source: torch.optim.lr_scheduler.ReduceLROnPlateau, with an absolute threshold.
    """

    type: Literal["plateau"] = "plateau"
    monitor: Annotated[str, RESTARTS] = "validation/loss"
    """name of the metric, as in metrics.jsonl"""
    mode: Annotated[Literal["auto", "min", "max"], RESTARTS] = "auto"
    """which way is better; auto knows it from the metric"""
    factor: Factor = 0.1
    """what the learning rate is multiplied by at a drop"""
    patience: Annotated[int, Field(ge=0)] = 10
    """epochs in a row without improvement that are let pass"""
    min_delta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """smallest change that counts as an improvement"""
    minimum: Fraction = 0.0
    """share of the learning rate below which it does not fall"""

    by_epoch: ClassVar[bool] = True
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"patience": 0, "minimum": 0.2})

    def start(self) -> dict[str, float]:
        """Nothing seen: ``scale`` 1, and no ``best``. An empty state means the same."""
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
        """Earlier drops stay; the best value starts anew."""
        return {**self.start(), "scale": state.get("scale", 1.0)}

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        """One factor a drop."""
        return state.get("scale", 1.0)

    def _improves(self, value: float, best: float | None) -> bool:
        if best is None:
            return not math.isnan(value)
        mode = better(self.monitor) if self.mode == "auto" else self.mode
        return value > best + self.min_delta if mode == "max" else value < best - self.min_delta
