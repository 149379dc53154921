"""Base of the convolution layers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from backprop_cli.autodiff import Spec
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.glorot_uniform import GlorotUniform
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import Param, WeightedLayer
from backprop_cli.nn.layers._shared.sizes import check_axes, dividing, per_axis
from backprop_cli.settings import PositiveInt


class FilterLayer(WeightedLayer):
    """Filters that slide along the axes of an image or a sequence."""

    channels: PositiveInt
    """number of output channels"""
    groups: PositiveInt = 1
    """groups of channels that do not mix; with as many as input channels each is filtered separately"""
    bias: bool = True
    """whether a bias is added to each output channel"""
    initializer: InitializerType = GlorotUniform()
    """how the weight starts"""
    bias_initializer: InitializerType = Zeros()
    """how the bias starts"""

    filters_channels: ClassVar[bool] = True
    axes: ClassVar[int]
    """2 for images, 1 for sequences."""

    def sizes(self, key: str, x: Spec) -> tuple[int, ...]:
        """The value of a key for each axis. Raises: ShapeError for examples of other shapes."""
        check_axes(self.type, x, self.axes)
        return per_axis(self.type, key, getattr(self, key), x)

    def parameters(self, x: Spec, weight: tuple[int, int]) -> dict[str, Param]:
        """``weight`` of the shape (*weight, *kernel), and ``bias`` unless switched off.

        ``fan_in``: inputs of an output; ``fan_out``: outputs that read an input, apart from strides and edges.
        """
        kernel = self.sizes("kernel", x)
        for what, count in (("input", x.shape[1]), ("output", self.channels)):
            if count % self.groups:
                fits = dividing(x.shape[1], self.channels)
                reason = f"groups {self.groups} do not divide {count} {what} channels; take {fits}"
                raise ShapeError(self.type, reason, x=x)
        area = math.prod(kernel)
        fans: dict[str, Any] = {
            "fan_in": x.shape[1] // self.groups * area,
            "fan_out": self.channels // self.groups * area,
        }
        params = {"weight": Param((*weight, *kernel), self.initializer, **fans)}
        if self.bias:
            params["bias"] = Param((self.channels,), self.bias_initializer, **fans, regularized=False)
        return params
