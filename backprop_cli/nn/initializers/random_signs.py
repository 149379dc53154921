"""Signs drawn at random."""

from __future__ import annotations

from typing import Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer


@INITIALIZERS.register
class RandomSigns(Initializer):
    """``w = -1`` or ``w = 1``, each with probability 1/2.

    YAML:   random_signs
    Source: Wen, Tran & Ba, BatchEnsemble (2020), section 3.
    """

    type: Literal["random_signs"] = "random_signs"

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return np.where(rng.integers(0, 2, shape) == 1, 1.0, -1.0)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        return 0.0, 1.0
