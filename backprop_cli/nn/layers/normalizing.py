"""What normalizations share: the guard of the root, and a scale and a shift that are learned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backprop_cli.autodiff import Spec, Value, mean, reshape, sqrt, square
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.ones import Ones
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import Layer, Param, ParameterLayer, Params


class Normalizing(ParameterLayer):
    """``x / sqrt(its mean square + epsilon) * weight``; the weight is not regularized."""

    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5
    """added under the root, so that nothing is divided by 0"""
    affine: bool = True
    """whether the result is scaled, and shifted where the layer has a bias, by parameters"""
    initializer: InitializerType = Ones()
    """how the weight starts"""

    def affine_params(self, shape: tuple[int, ...]) -> dict[str, Param]:
        """``weight`` of this shape, unless switched off."""
        return {"weight": Param(shape, self.initializer, regularized=False)} if self.affine else {}

    def scaled(self, x: Value, params: Params, shape: tuple[int, ...]) -> Value:
        """``x * weight + bias`` with those there are, in ``shape``, which broadcasts against x."""
        out = x * reshape(params["weight"], shape) if "weight" in params else x
        return out + reshape(params["bias"], shape) if "bias" in params else out


class Standardizing(Normalizing):
    """``(x - mean) / sqrt(variance + epsilon) * weight + bias``; weight and bias are not regularized."""

    bias_initializer: InitializerType = Zeros()
    """how the bias starts"""

    def affine_params(self, shape: tuple[int, ...]) -> dict[str, Param]:
        """``weight`` and ``bias`` of this shape, unless switched off."""
        weight = super().affine_params(shape)
        return {**weight, "bias": Param(shape, self.bias_initializer, regularized=False)} if weight else {}

    def standardized(self, x: Value, axes: tuple[int, ...]) -> Value:
        """X less its mean over ``axes``, in units of its standard deviation there."""
        centered = x - mean(x, axes, keepdims=True)
        return centered * self.reciprocal(mean(square(centered), axes, keepdims=True))

    def reciprocal(self, variance: Value) -> Value:
        """``1 / sqrt(variance + epsilon)``."""
        return 1.0 / sqrt(variance + self.epsilon)


def last_axes(layer: Layer, wanted: int | Literal["all"], x: Spec) -> tuple[int, ...]:
    """The last ``wanted`` axes of x, the batch not among them.

    Raises: ShapeError where there are fewer.
    """
    count = x.ndim - 1 if wanted == "all" else wanted
    if not 0 < count < x.ndim:
        reason = f"the last {max(count, 1)} axes are to be normalized, and an example has {x.ndim - 1}"
        raise ShapeError(layer.type, reason, x=x)
    return tuple(range(x.ndim - count, x.ndim))
