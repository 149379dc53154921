"""Uniform between two bounds."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer
from backprop_cli.settings import refusal


@INITIALIZERS.register
class Uniform(Initializer):
    """``w ~ U[low, high)``.

    YAML:   {type: uniform, low: -0.1, high: 0.1}
    """

    type: Literal["uniform"] = "uniform"
    low: Annotated[float, Field(allow_inf_nan=False)] = -0.05
    """smallest value"""
    high: Annotated[float, Field(allow_inf_nan=False, validate_default=True)] = 0.05
    """bound above all values"""

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("low", -np.inf)
        if high <= low:
            raise refusal(f"must be greater than low ({low}), got {high}")
        return high

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return rng.uniform(self.low, self.high, shape)

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        """``(low + high) / 2``, ``(high - low) / sqrt(12)``."""
        return 0.5 * (self.low + self.high), (self.high - self.low) / math.sqrt(12.0)
