"""Normalization of groups of channels of each example."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec, Value, reshape
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import LAYERS, Param, Params, Sample
from backprop_cli.nn.layers._shared.normalizing import Standardizing, channels_of
from backprop_cli.nn.layers._shared.sizes import dividing
from backprop_cli.settings import PositiveInt


@LAYERS.register
class GroupNorm(Standardizing):
    """``out = (x - mean) / sqrt(variance + epsilon) * weight + bias``, mean and variance over a group of channels.

    A group holds neighbouring channels with all their places. One group normalizes a whole example; as many groups as
    channels normalize each channel (instance normalization). The variance is divided by n.

    Shapes: x (batch, channels, ...) -> out as x; weight, bias (channels,), as in PyTorch
    YAML:   {type: group_norm, groups: 4}
    Raises: ShapeError if the groups do not divide the channels.
    Source: Wu & He, Group Normalization (2018), equations 1, 2, 6 and 7.
    """

    type: Literal["group_norm"] = "group_norm"
    groups: PositiveInt
    """number of groups, which must divide the channels"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"groups": 2}, ((4,),)),
        Sample({"groups": 2, "epsilon": 0.01}, ((4, 2, 2),)),
        Sample({"groups": 1, "affine": False}, ((3, 2),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        channels = channels_of(self, x[0])
        if channels % self.groups:
            reason = f"{self.groups} groups do not divide {channels} channels; take {dividing(channels)}"
            raise ShapeError(self.type, reason, x=x[0])
        return self.affine_params((channels,))

    def apply(self, params: Params, *x: Value) -> Value:
        batch, channels, *places = x[0].shape
        grouped = reshape(x[0], (batch, self.groups, channels // self.groups * math.prod(places)))
        out = reshape(self.standardized(grouped, (2,)), x[0].shape)
        return self.scaled(out, params, (channels, *(1,) * len(places)))
