"""Normalization of each feature over the batch."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec, Value, mean, reshape, square
from backprop_cli.nn.layer import LAYERS, Buffer, Param, Params, Sample
from backprop_cli.nn.layers._shared.normalizing import Standardizing, channels_of
from backprop_cli.settings import Fraction


@LAYERS.register
class BatchNorm(Standardizing):
    """``out = (x - mean) / sqrt(variance + epsilon) * weight + bias`` for each feature or channel.

    In training mean and variance (divided by n) are computed over the batch and all places of an image. Running ones
    follow: ``running <- (1 - momentum) * running + momentum * new``, with the variance divided by n - 1. They are used
    in evaluation, and in training if the layer is frozen (``trainable: false``). A batch with one number for each
    feature has no variance: it leaves the running ones unchanged, and its output is the bias; PyTorch refuses it.

    Shapes: x (batch, features) or (batch, channels, ...) -> out as x; weight, bias, running_mean, running_var
            (features,), as in PyTorch
    YAML:   {type: batch_norm, momentum: 0.1, epsilon: 0.00001}
    Raises: ShapeError for examples without an axis.
    Source: Ioffe & Szegedy, Batch Normalization (2015), algorithms 1 and 2; momentum, unbiased running variance, names
            and the axis as in PyTorch; for sequences (batch, time, features) use layer_norm.
    """

    type: Literal["batch_norm"] = "batch_norm"
    momentum: Fraction = 0.1
    """weight of a new batch in the running mean and variance"""

    mixes_examples: ClassVar[bool] = True
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({}, ((3,),)),
        Sample({"epsilon": 0.01, "affine": False}, ((3,),)),
        Sample({"momentum": 0.3}, ((2, 2, 3),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        return self.affine_params((channels_of(self, x[0]),))

    def buffers(self, *x: Spec) -> dict[str, Buffer]:
        shape = (x[0].shape[1],)
        return {"running_mean": Buffer(shape), "running_var": Buffer(shape, 1.0)}

    def apply(self, params: Params, *x: Value) -> Value:
        shape = (x[0].shape[1], *(1,) * (x[0].ndim - 2))
        if "running_mean" in params:
            center, spread = (reshape(params[name], shape) for name in ("running_mean", "running_var"))
        else:
            center, spread = _moments(x[0])
        centered, scale = x[0] - center, self.reciprocal(spread)
        if not self.affine:
            return centered * scale
        # Both factors are small arrays, so their product takes one pass over x instead of two.
        return centered * (scale * reshape(params["weight"], shape)) + reshape(params["bias"], shape)

    def updates(self, params: Params, *x: Value) -> dict[str, Value]:
        center, spread = _moments(x[0])
        count = x[0].size // center.size
        if count < 2:
            return {}
        shape = params["running_mean"].shape
        new = {
            "running_mean": reshape(center, shape),
            "running_var": reshape(spread, shape) * (count / (count - 1)),
        }
        return {name: params[name] + self.momentum * (value - params[name]) for name, value in new.items()}


def _moments(x: Value) -> tuple[Value, Value]:
    """Mean and variance of each feature or channel, with axes that broadcast against x."""
    axes = (0, *range(2, x.ndim))
    center = mean(x, axes, keepdims=True)
    return center, mean(square(x - center), axes, keepdims=True)
