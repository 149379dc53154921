"""Convolutions of sequences and of images."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Spec, Value
from backprop_cli.nn.layer import LAYERS, Param, Params, Sample
from backprop_cli.nn.layers._shared.filters import FilterLayer
from backprop_cli.nn.layers._shared.sizes import (
    Margins,
    Padding,
    Pairs,
    Sizes,
    check_windows,
    per_axis,
    same_padding,
)
from backprop_cli.settings import Count, PositiveInt


class Conv(FilterLayer):
    """Filters over windows of the input; subclasses declare the keys of their sizes."""

    def params(self, *x: Spec) -> dict[str, Param]:
        self._windows(x[0])
        return self.parameters(x[0], (self.channels, x[0].shape[1] // self.groups))

    def linear(self, params: Params, *x: Value) -> Value:
        return autodiff.convolution(
            x[0], params["weight"], params.get("bias"), groups=self.groups, **self._windows(x[0].spec)
        )

    def _windows(self, x: Spec) -> dict[str, Any]:
        kernel, stride, dilation = (self.sizes(key, x) for key in ("kernel", "stride", "dilation"))
        spans = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True))
        padding = self._padding(x, spans, stride)
        check_windows(self.type, x, kernel, spans, padding)
        return {"stride": stride, "dilation": dilation, "padding": padding}

    def _padding(self, x: Spec, spans: tuple[int, ...], stride: tuple[int, ...]) -> Pairs:
        value: Any = getattr(self, "padding")  # noqa: B009 - subclasses declare it
        if value == "same":
            return tuple(map(same_padding, x.shape[2:], spans, stride))
        sizes = per_axis(self.type, "padding", 0 if value == "valid" else value, x)
        return tuple((size, size) for size in sizes)


@LAYERS.register
class Conv1d(Conv):
    """``out[n, f, q] = activation(bias[f] + sum_c,j x[n, c, q * stride + j * dilation - padding] * weight[f, c, j])``.

    A cross-correlation, as in PyTorch. ``padding: same`` gives ceil(length / stride) outputs; PyTorch allows it
    only without stride. With ``groups`` a filter reads only the channels of its group.

    Shapes: x (batch, in_channels, length) -> out (batch, channels, windows), windows = (length + 2 * padding -
            dilation * (kernel - 1) - 1) // stride + 1; weight (channels, in_channels / groups, kernel),
            bias (channels,)
    YAML:   {type: conv1d, channels: 16, kernel: 5, padding: same, activation: relu, initializer: he_normal}
    Raises: ShapeError for examples that are not (channels, length), or shorter than the kernel.
    Source: Waibel et al., Phoneme Recognition Using Time-Delay Neural Networks (1989); torch.nn.Conv1d.
    """

    type: Literal["conv1d"] = "conv1d"
    kernel: PositiveInt
    """length of a filter"""
    stride: PositiveInt = 1
    """steps from one window to the next"""
    padding: Padding | Count = "valid"
    """zeros at both ends: a number, valid (none), or same (as many windows as elements, with stride 1)"""
    dilation: PositiveInt = 1
    """steps from one element of a window to the next"""

    axes: ClassVar[int] = 1
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"channels": 3, "kernel": 2}, ((2, 5),)),
        Sample({"channels": 4, "kernel": 3, "stride": 2, "padding": "same", "groups": 2}, ((2, 6),)),
        Sample({"channels": 2, "kernel": 2, "dilation": 3, "padding": 1, "bias": False}, ((1, 5),)),
    )


@LAYERS.register
class Conv2d(Conv):
    """``out[n, f, r, q] = activation(bias[f] + sum_c,i,j x[n, c, r s + i d - p, q s + j d - p] * weight[f, c, i, j])``.

    s stride, d dilation, p padding: one number, or height and width. A cross-correlation, as in PyTorch. ``padding:
    same`` gives ceil(size / stride) outputs an axis; PyTorch allows it only without stride. With ``groups`` a filter
    reads only the channels of its group.

    Shapes: x (batch, in_channels, height, width) -> out (batch, channels, rows, columns), each (size + 2 p -
            d (kernel - 1) - 1) // s + 1; weight (channels, in_channels / groups, *kernel), bias (channels,)
    YAML:   {type: conv2d, channels: 16, kernel: 5, stride: [1, 2], padding: 2, activation: relu}
    Raises: ShapeError for examples that are not (channels, height, width), or smaller than the kernel.
    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998), section II-A; dilation: Yu &
            Koltun, Multi-Scale Context Aggregation by Dilated Convolutions (2016), section 2; torch.nn.Conv2d.
    """

    type: Literal["conv2d"] = "conv2d"
    kernel: Sizes
    """height and width of a filter"""
    stride: Sizes = 1
    """steps from one window to the next"""
    padding: Padding | Margins = "valid"
    """zeros on every side: a number or two, valid (none), or same (as many windows as pixels, with stride 1)"""
    dilation: Sizes = 1
    """steps from one element of a window to the next"""

    axes: ClassVar[int] = 2
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"channels": 2, "kernel": 3}, ((2, 4, 5),)),
        Sample({"channels": 4, "kernel": [2, 3], "padding": "same", "stride": [1, 2], "groups": 2}, ((2, 3, 4),)),
        Sample({"channels": 1, "kernel": 2, "dilation": 2, "padding": [1, 0], "bias": False}, ((1, 3, 4),)),
        Sample({"channels": 2, "kernel": 1, "activation": "tanh"}, ((3, 2, 2),)),
    )
