"""Convolution of images."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.nn.layer import LAYERS, Sample
from backprop_cli.nn.layers.convolution import Convolution
from backprop_cli.nn.windows import Margins, Padding, Sizes


@LAYERS.register
class Conv2d(Convolution):
    """``out[n, f, r, q] = activation(bias[f] + sum_c,i,j x[n, c, r s + i d - p, q s + j d - p] * weight[f, c, i, j])``.

    s stride, d dilation, p padding: one number, or height and width. A cross-correlation, as in PyTorch. ``padding:
    same`` gives ceil(size / stride) outputs an axis; PyTorch has it without stride only. With ``groups`` a filter sees
    the channels of its group.

    Shapes: x (batch, in_channels, height, width) -> out (batch, channels, rows, columns), each (size + 2 p -
            d (kernel - 1) - 1) // s + 1; weight (channels, in_channels / groups, *kernel), bias (channels,)
    YAML:   {type: conv2d, channels: 16, kernel: 5, stride: [1, 2], padding: 2, activation: relu}
    Raises: ShapeError for examples that are not (channels, height, width), or smaller than the kernel.
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
