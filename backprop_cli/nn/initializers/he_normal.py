"""Normal, scaled for rectifiers."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer


@INITIALIZERS.register
class HeNormal(Initializer):
    """``w ~ N(0, 2 / fan_in)``; not truncated, as in PyTorch; also known as Kaiming.

    YAML:   he_normal
    Source: He, Zhang, Ren & Sun, Delving Deep into Rectifiers (2015), equation 10.
    """

    type: Literal["he_normal"] = "he_normal"

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return rng.normal(0.0, math.sqrt(2.0 / fan_in), shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        """0, ``sqrt(2 / fan_in)``."""
        return 0.0, math.sqrt(2.0 / fan_in)
