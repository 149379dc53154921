"""Normal, scaled to keep the variance forward and backward."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer
from backprop_cli.settings import Positive


@INITIALIZERS.register
class GlorotNormal(Initializer):
    """``w ~ N(0, gain^2 * 2 / (fan_in + fan_out))``; not truncated, as in PyTorch.

    YAML:   {type: glorot_normal, gain: 1.0}
    Source: Glorot & Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks (2010),
            equation 12.
    """

    type: Literal["glorot_normal"] = "glorot_normal"
    gain: Positive = 1.0
    """factor on top of the scale"""

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return rng.normal(0.0, self.gain * math.sqrt(2.0 / (fan_in + fan_out)), shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        """0, ``gain sqrt(2 / (fan_in + fan_out))``."""
        return 0.0, self.gain * math.sqrt(2.0 / (fan_in + fan_out))
