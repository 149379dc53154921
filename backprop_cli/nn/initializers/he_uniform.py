"""Uniform, scaled for rectifiers."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer


@INITIALIZERS.register
class HeUniform(Initializer):
    """``w ~ U(-a, a)``, ``a = sqrt(6 / fan_in)``: the variance of he_normal; also known as Kaiming.

    YAML:   he_uniform
    Source: He, Zhang, Ren & Sun, Delving Deep into Rectifiers (2015), equation 10.
    """

    type: Literal["he_uniform"] = "he_uniform"

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        bound = math.sqrt(6.0 / fan_in)
        return rng.uniform(-bound, bound, shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        """0, ``sqrt(2 / fan_in)``."""
        return 0.0, math.sqrt(2.0 / fan_in)
