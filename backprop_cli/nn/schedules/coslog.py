"""Cosine cycles, each twice as long as the one before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from backprop_cli.nn.schedule import SCHEDULES, Clock, Schedule
from backprop_cli.settings import PositiveInt


@SCHEDULES.register
class Coslog(Schedule):
    """``scale = (1 - cos(2 pi log2(1 + (2^cycles - 1) t))) / 2``, ``t = (step - 1) / total_steps``.

    Every cycle rises from 0 to 1 and falls back to 0. The first step changes nothing.

    YAML:   {type: coslog, cycles: 4}
    Source: Holzmueller, Grinsztajn & Steinwart, Better by Default (2024), section 3.
    """

    type: Literal["coslog"] = "coslog"
    cycles: PositiveInt = 4
    """number of cycles"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"cycles": 2})

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        cycle = math.log2(1.0 + (2.0**self.cycles - 1.0) * clock.progress)
        return 0.5 * (1.0 - math.cos(2.0 * math.pi * cycle))
