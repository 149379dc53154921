"""Normal, scaled to keep the variance forward."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer


@INITIALIZERS.register
class LecunNormal(Initializer):
    """``w ~ N(0, 1 / fan_in)``: for selu and tanh; not truncated.

    YAML:   lecun_normal
    Source: LeCun, Bottou, Orr & Müller, Efficient BackProp (1998), section 4.6, equation 16.
    """

    type: Literal["lecun_normal"] = "lecun_normal"

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return rng.normal(0.0, math.sqrt(1.0 / fan_in), shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        """0, ``sqrt(1 / fan_in)``."""
        return 0.0, math.sqrt(1.0 / fan_in)
