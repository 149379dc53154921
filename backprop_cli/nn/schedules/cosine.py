"""Half a cosine from 1 down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from backprop_cli.nn.schedule import SCHEDULES, Clock, Schedule
from backprop_cli.settings import Fraction


@SCHEDULES.register
class Cosine(Schedule):
    """``scale = to + (1 - to) * (1 + cos(pi * (step - 1) / total_steps)) / 2``.

    YAML:   {type: cosine, to: 0.01}
    Source: Loshchilov & Hutter, SGDR (2017), equation 5, without restarts.
    """

    type: Literal["cosine"] = "cosine"
    to: Fraction = 0.0
    """share of the learning rate left at the end"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"warmup_steps": 3})

    def scale(self, clock: Clock, state: Mapping[str, float]) -> float:
        return self.to + (1.0 - self.to) * 0.5 * (1.0 + math.cos(math.pi * clock.progress))
