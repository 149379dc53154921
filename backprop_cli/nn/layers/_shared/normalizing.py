"""Bases of the normalizations: a safe reciprocal root, and a learned scale and shift."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import Spec, Value, mean, reshape, sqrt, square
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.ones import Ones
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import Layer, Param, ParameterLayer, Params
from backprop_cli.settings import Positive, PositiveInt


class Normalizing(ParameterLayer):
    """``x / sqrt(its mean square + epsilon) * weight``; the weight is not regularized."""

    epsilon: Positive = 1e-5
    """added under the root, to avoid division by 0"""
    affine: bool = True
    """whether the result is scaled, and shifted if the layer has a bias, by parameters"""
    initializer: InitializerType = Ones()
    """how the weight starts"""

    def affine_params(self, shape: tuple[int, ...]) -> dict[str, Param]:
        """``weight`` of this shape, unless switched off."""
        return {"weight": Param(shape, self.initializer, regularized=False)} if self.affine else {}

    def reciprocal(self, mean_square: Value) -> Value:
        """``1 / sqrt(mean_square + epsilon)``."""
        return 1.0 / sqrt(mean_square + self.epsilon)

    def scaled(self, x: Value, params: Params, shape: tuple[int, ...]) -> Value:
        """``x * weight + bias``, without those that ``params`` lacks; ``shape`` broadcasts them against x."""
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
        """``(x - mean) / sqrt(variance + epsilon)`` over ``axes``."""
        centered = x - mean(x, axes, keepdims=True)
        return centered * self.reciprocal(mean(square(centered), axes, keepdims=True))


class LastAxes(Normalizing):
    """Normalization of the last axes of an example."""

    axes: PositiveInt | Literal["all"] = 1
    """number of last axes that are normalized together"""

    def normalized(self, x: Value, axes: tuple[int, ...]) -> Value:
        """The normalized array, before scale and shift."""
        raise NotImplementedError

    def params(self, *x: Spec) -> dict[str, Param]:
        return self.affine_params(tuple(x[0].shape[axis] for axis in self._axes(x[0])))

    def memory(self, *x: Spec, context: int) -> dict[str, Spec] | None:
        return None if 1 in self._axes(x[0]) else {}

    def apply(self, params: Params, *x: Value) -> Value:
        axes = self._axes(x[0].spec)
        return self.scaled(self.normalized(x[0], axes), params, tuple(x[0].shape[axis] for axis in axes))

    def _axes(self, x: Spec) -> tuple[int, ...]:
        """The last axes of x, without the batch. Raises: ShapeError if x has fewer."""
        count = x.ndim - 1 if self.axes == "all" else self.axes
        if not 0 < count < x.ndim:
            reason = f"cannot normalize the last {max(count, 1)} axes of an example that has {x.ndim - 1}"
            raise ShapeError(self.type, reason, x=x)
        return tuple(range(x.ndim - count, x.ndim))


def channels_of(layer: Layer, x: Spec) -> int:
    """Size of the first axis of an example. Raises: ShapeError if it has none."""
    if x.ndim < 2:
        raise ShapeError(layer.type, "needs at least one axis per example: features, or channels first", x=x)
    return x.shape[1]
