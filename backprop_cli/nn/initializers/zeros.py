"""Zeros."""

from __future__ import annotations

from typing import Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer


@INITIALIZERS.register
class Zeros(Initializer):
    """``w = 0``: for biases; weights that are all equal never become different.

    YAML:   zeros
    """

    type: Literal["zeros"] = "zeros"

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return np.zeros(shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        return 0.0, 0.0
