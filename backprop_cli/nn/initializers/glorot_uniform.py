"""Uniform, scaled to keep the variance forward and backward."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer
from backprop_cli.settings import Positive


@INITIALIZERS.register
class GlorotUniform(Initializer):
    """``w ~ U(-a, a)``, ``a = gain * sqrt(6 / (fan_in + fan_out))``; also known as Xavier.

    YAML:   {type: glorot_uniform, gain: 1.0}
    Source: Glorot & Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks (2010),
            equation 16.
    """

    type: Literal["glorot_uniform"] = "glorot_uniform"
    gain: Positive = 1.0
    """factor on top of the scale"""

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        bound = self.gain * math.sqrt(6.0 / (fan_in + fan_out))
        return rng.uniform(-bound, bound, shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        """0, ``gain sqrt(2 / (fan_in + fan_out))``."""
        return 0.0, self.gain * math.sqrt(2.0 / (fan_in + fan_out))
