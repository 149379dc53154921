"""Normal with given mean and standard deviation."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer
from backprop_cli.settings import NonNegative


@INITIALIZERS.register
class Normal(Initializer):
    """``w ~ N(mean, std^2)``.

    YAML:   {type: normal, std: 0.01}
    """

    type: Literal["normal"] = "normal"
    mean: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """mean"""
    std: NonNegative = 0.05
    """standard deviation"""

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return rng.normal(self.mean, self.std, shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        return self.mean, self.std
