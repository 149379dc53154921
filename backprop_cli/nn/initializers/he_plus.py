"""Biases that put kinks among the data."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer
from backprop_cli.settings import PositiveInt


@INITIALIZERS.register
class HePlus(Initializer):
    """``b = -sum_k a_k out_k`` for outputs of random examples of the train split, ``sum_k a_k = 1``, ``a_k >= 0``.

    The output of a unit of a dense layer is 0 at a random point within the data, where relu has its kink: He+5 for 5
    ``points``. Without data, and in other layers, biases start at 0.

    YAML:   {type: he_plus, points: 5}
    Source: Steinwart, A Sober Look at Neural Network Initializations (2019); Holzmueller, Grinsztajn & Steinwart,
            Better by Default (2024), section 3.
    """

    type: Literal["he_plus"] = "he_plus"
    points: PositiveInt = 5
    """examples of each unit"""

    is_fitted: ClassVar[bool] = True

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return np.zeros(shape)

    def fit(self, rng: np.random.Generator, drawn: Array, outputs: Array) -> Array:
        flat = outputs.reshape(len(outputs), -1).astype(np.float64)
        chosen = rng.integers(0, len(flat), (self.points, flat.shape[1]))
        shares = rng.standard_exponential((self.points, flat.shape[1]))
        point = (np.take_along_axis(flat, chosen, axis=0) * shares).sum(axis=0) / shares.sum(axis=0)
        return np.asarray(-point.reshape(drawn.shape))

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        return 0.0, 0.0
