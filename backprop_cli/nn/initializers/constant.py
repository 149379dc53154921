"""A constant."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer


@INITIALIZERS.register
class Constant(Initializer):
    """``w = value``.

    YAML:   {type: constant, value: 0.1}
    """

    type: Literal["constant"] = "constant"
    value: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """every entry"""

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return np.full(shape, self.value, dtype=np.float64)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        return self.value, 0.0
