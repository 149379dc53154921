"""Constant, then half a cosine down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from backprop_cli.nn.schedule import SCHEDULES, Clock, Schedule
from backprop_cli.settings import FractionBelowOne


@SCHEDULES.register
class FlatCos(Schedule):
    """``scale = 1`` for ``t <= flat``, then ``(1 + cos(pi * (t - flat) / (1 - flat))) / 2``.

    ``t = (step - 1) / total_steps``.

    YAML:   {type: flat_cos, flat: 0.5}
    Source: Holzmueller, Grinsztajn & Steinwart, Better by Default (2024), appendix A.
    """

    type: Literal["flat_cos"] = "flat_cos"
    flat: FractionBelowOne = 0.5
    """share of the steps before the decay"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"flat": 0.0})

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        done = max(0.0, clock.progress - self.flat) / (1.0 - self.flat)
        return 0.5 * (1.0 + math.cos(math.pi * done))
