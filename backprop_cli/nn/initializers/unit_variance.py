"""Normal, then scaled by data."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.initializer import INITIALIZERS, Array, Initializer


@INITIALIZERS.register
class UnitVariance(Initializer):
    """``w ~ N(0, 1)``, divided by the deviation of the unit's outputs on the train split.

    Each unit of a dense layer then has outputs of standard deviation 1 before its bias. A unit with equal outputs stays
    as it was drawn. Other layers take it for the standard normal distribution.

    YAML:   unit_variance
    Source: Holzmueller, Grinsztajn & Steinwart, Better by Default (2024), section 3; Mishkin & Matas, All You Need is a
            Good Init (2016).
    """

    type: Literal["unit_variance"] = "unit_variance"
    is_fitted: ClassVar[bool] = True

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
        return rng.normal(size=shape)

    def fit(self, rng: np.random.Generator, drawn: Array, outputs: Array) -> Array:
        deviation = outputs.astype(np.float64).std(axis=0)
        return np.asarray(drawn / np.where(deviation > 0, deviation, 1.0)[..., None])

    def moments(self, shape: tuple[int, ...], fan_in: int, fan_out: int) -> tuple[float, float]:
        return 0.0, 1.0
