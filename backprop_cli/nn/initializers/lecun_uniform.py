"""Uniform, scaled to keep the variance forward."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer


@INITIALIZERS.register
class LecunUniform(Initializer):
    """``w ~ U(-a, a)``, ``a = sqrt(3 / fan_in)``: variance ``1 / fan_in``.

    YAML:   lecun_uniform
    Source: LeCun, Bottou, Orr & Müller, Efficient BackProp (1998), section 4.6, equation 16.
    """

    type: Literal["lecun_uniform"] = "lecun_uniform"

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        bound = math.sqrt(3.0 / fan_in)
        return rng.uniform(-bound, bound, shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        """0, ``sqrt(1 / fan_in)``."""
        return 0.0, math.sqrt(1.0 / fan_in)
