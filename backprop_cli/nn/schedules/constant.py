"""A constant learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from backprop_cli.nn.schedule import SCHEDULES, Clock, Schedule


@SCHEDULES.register
class Constant(Schedule):
    """``scale = 1``.

    YAML:   {type: constant, warmup_steps: 100}
    """

    type: Literal["constant"] = "constant"

    by_epoch: ClassVar[bool] = True
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"warmup_steps": 5})

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        return 1.0
