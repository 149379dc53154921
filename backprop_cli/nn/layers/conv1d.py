"""Convolution of sequences."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.nn.layer import LAYERS, Sample
from backprop_cli.nn.layers.convolution import Convolution
from backprop_cli.nn.windows import Margin, Padding, Size


@LAYERS.register
class Conv1d(Convolution):
    """``out[n, f, q] = activation(bias[f] + sum_c,j x[n, c, q * stride + j * dilation - padding] * weight[f, c, j])``.

    A cross-correlation, as in PyTorch. ``padding: same`` gives ceil(length / stride) outputs; PyTorch has it without
    stride only. With ``groups`` a filter sees the channels of its group.

    Shapes: x (batch, in_channels, length) -> out (batch, channels, windows), windows = (length + 2 * padding -
            dilation * (kernel - 1) - 1) // stride + 1; weight (channels, in_channels / groups, kernel),
            bias (channels,)
    YAML:   {type: conv1d, channels: 16, kernel: 5, padding: same, activation: relu, initializer: he_normal}
    Raises: ShapeError for examples that are not (channels, length), or shorter than the kernel.
    """

    type: Literal["conv1d"] = "conv1d"
    kernel: Size
    """length of a filter"""
    stride: Size = 1
    """steps from one window to the next"""
    padding: Padding | Margin = "valid"
    """zeros at both ends: a number, valid (none), or same (as many windows as elements, with stride 1)"""
    dilation: Size = 1
    """steps from one element of a window to the next"""

    axes: ClassVar[int] = 1
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"channels": 3, "kernel": 2}, ((2, 5),)),
        Sample({"channels": 4, "kernel": 3, "stride": 2, "padding": "same", "groups": 2}, ((2, 6),)),
        Sample({"channels": 2, "kernel": 2, "dilation": 3, "padding": 1, "bias": False}, ((1, 5),)),
    )
