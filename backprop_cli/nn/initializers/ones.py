"""Ones."""

from __future__ import annotations

from typing import Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer


@INITIALIZERS.register
class Ones(Initializer):
    """``w = 1``.

    YAML:   ones
    """

    type: Literal["ones"] = "ones"

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return np.ones(shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        return 1.0, 0.0
