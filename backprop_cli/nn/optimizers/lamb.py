"""Adam's direction, scaled to the length of each parameter."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from backprop_cli.autodiff import Value, greater, norm, where
from backprop_cli.nn.optimizer import OPTIMIZERS, Array, Scalars, ScalarSlots, Slots
from backprop_cli.nn.optimizers._shared.moments import Moments
from backprop_cli.settings import FREE, NonNegative, Positive


@OPTIMIZERS.register
class Lamb(Moments):
    """``direction = |w| / |d| * d`` for each parameter w, ``d = adam + weight_decay * w``.

    ``adam`` is adam's direction, the norms are Euclidean. If w or d is 0 the factor is 1. All layers move by the same
    share of their weights in a step, which suits large batches; a bias that starts at 0 first moves as with adam.

    Shapes: g, w, m and v (slots m, v) as the parameter -> direction as the parameter
    YAML:   {type: lamb, learning_rate: 0.002, weight_decay: 0.01}
    Source: You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes (2020), algorithm 2,
            with the identity for its function phi.
    """

    type: Literal["lamb"] = "lamb"
    weight_decay: Annotated[NonNegative, FREE] = 0.0
    """factor of the parameter in the direction"""
    epsilon: Annotated[Positive, FREE] = 1e-6
    """keeps the quotient finite; outside the root"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"weight_decay": 0.01})
    shaped: ClassVar[bool] = True

    def update(self, g: Value, slot: Slots, scalar: Scalars, parameter: Value) -> tuple[Value, dict[str, Value]]:
        new = self.means(g, slot)
        direction = self.quotient(new["m"], new["v"], scalar)
        return (direction + self.weight_decay * parameter if self.weight_decay else direction), new

    def shaped_direction(self, direction: Value, parameter: Value) -> Value:
        length, own = norm(direction), norm(parameter)
        divisor = where(greater(length, 0.0), length, 1.0)
        return direction * (where(greater(own, 0.0), own, divisor) / divisor)

    def formula(self, step: int, g: float, slot: ScalarSlots, parameter: float) -> tuple[float, dict[str, float]]:
        """Algorithm 2: ``r_t + lambda x_t``."""
        new = self.means_formula(g, slot)
        return self.quotient_formula(step, new["m"], new["v"]) + self.weight_decay * parameter, new

    def shaped_formula(self, direction: Array, parameter: Array) -> Array:
        """Algorithm 2: the ratio ``phi(|x|) / |r + lambda x|`` of one layer."""
        own, length = np.linalg.norm(parameter.ravel()), np.linalg.norm(direction.ravel())
        ratio = own / length if own > 0 and length > 0 else 1.0
        return direction * ratio
