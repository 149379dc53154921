"""What normalizations share: a scale and a shift that are learned, and the guard of the root."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from backprop_cli.autodiff import Value, reshape, sqrt
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.ones import Ones
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import Param, ParameterLayer, Params


class Normalizing(ParameterLayer):
    """``(x - mean) / sqrt(variance + epsilon) * weight + bias``; neither weight nor bias is regularized."""

    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5
    """added to the variance, so that the root of 0 does no harm"""
    affine: bool = True
    """whether the result is scaled by a weight and shifted by a bias"""
    initializer: InitializerType = Ones()
    """how the weight starts"""
    bias_initializer: InitializerType = Zeros()
    """how the bias starts"""

    def affine_params(self, shape: tuple[int, ...]) -> dict[str, Param]:
        """``weight`` and ``bias`` of this shape, unless switched off."""
        if not self.affine:
            return {}
        return {
            "weight": Param(shape, self.initializer, regularized=False),
            "bias": Param(shape, self.bias_initializer, regularized=False),
        }

    def standardized(self, x: Value, mean: Value, variance: Value) -> Value:
        """``(x - mean) / sqrt(variance + epsilon)``; mean and variance broadcast against x."""
        return (x - mean) * (1.0 / sqrt(variance + self.epsilon))

    def scaled(self, x: Value, params: Params, shape: tuple[int, ...]) -> Value:
        """``x * weight + bias``, where there are any; both in ``shape``, which broadcasts against x."""
        if not self.affine:
            return x
        return x * reshape(params["weight"], shape) + reshape(params["bias"], shape)
