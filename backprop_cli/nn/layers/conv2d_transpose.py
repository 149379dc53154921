"""Transposed convolution of images."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Spec, Value
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import LAYERS, Param, Params, Sample
from backprop_cli.nn.layers._shared.filters import FilterLayer
from backprop_cli.nn.layers._shared.sizes import Margins, Sizes


@LAYERS.register
class Conv2dTranspose(FilterLayer):
    """``out[n, c, r s + i d - p, q s + j d - p] += x[n, f, r, q] * weight[f, c, i, j]``, plus bias, then activation.

    The transpose of ``conv2d`` with the same stride s, dilation d and padding p, as PyTorch's ConvTranspose2d: it
    enlarges images. ``conv2d`` maps several sizes to one; ``output_padding`` chooses a larger one than the smallest.

    Shapes: x (batch, in_channels, rows, columns) -> out (batch, channels, height, width), each (size - 1) * s - 2 p +
            d (kernel - 1) + output_padding + 1; weight (in_channels, channels / groups, *kernel), bias (channels,)
    YAML:   {type: conv2d_transpose, channels: 8, kernel: 4, stride: 2, padding: 1, activation: relu}
    Raises: ShapeError for examples that are not (channels, height, width), or padding that cuts off everything.
    Source: Dumoulin & Visin, A Guide to Convolution Arithmetic for Deep Learning (2016), chapter 4;
            torch.nn.ConvTranspose2d.
    """

    type: Literal["conv2d_transpose"] = "conv2d_transpose"
    kernel: Sizes
    """height and width of a filter"""
    stride: Sizes = 1
    """steps from one window to the next: about the factor by which the image grows"""
    padding: Margins = 0
    """rows and columns cut off on every side"""
    output_padding: Margins = 0
    """extra rows at the bottom and columns on the right; less than stride or dilation"""
    dilation: Sizes = 1
    """steps from one element of a window to the next"""

    axes: ClassVar[int] = 2
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"channels": 2, "kernel": 2, "stride": 2}, ((3, 2, 3),)),
        Sample(
            {"channels": 4, "kernel": 3, "stride": [2, 1], "padding": 1, "output_padding": [1, 0], "groups": 2},
            ((2, 2, 3),),
        ),
        Sample({"channels": 1, "kernel": [1, 2], "dilation": 3, "output_padding": 2, "bias": False}, ((2, 2, 2),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        params = self.parameters(x[0], (x[0].shape[1], self.channels // self.groups))
        self._windows(x[0])
        return params

    def linear(self, params: Params, *x: Value) -> Value:
        return autodiff.convolution_transpose(
            x[0], params["weight"], params.get("bias"), groups=self.groups, **self._windows(x[0].spec)
        )

    def _windows(self, x: Spec) -> dict[str, Any]:
        kernel, stride, padding, more, dilation = (
            self.sizes(key, x) for key in ("kernel", "stride", "padding", "output_padding", "dilation")
        )
        if any(extra >= max(step, gap) for extra, step, gap in zip(more, stride, dilation, strict=True)):
            reason = f"output_padding {list(more)} must be less than stride {list(stride)} or dilation {list(dilation)}"
            raise ShapeError(self.type, reason, x=x)
        reach = [
            (n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(x.shape[2:], stride, dilation, kernel, strict=True)
        ]
        size = tuple(n - 2 * p + extra for n, p, extra in zip(reach, padding, more, strict=True))
        if min(size) < 1:
            raise ShapeError(self.type, f"padding {list(padding)} cuts off all of {reach}; take a smaller one", x=x)
        pairs = tuple((p, p - extra) for p, extra in zip(padding, more, strict=True))
        return {"stride": stride, "dilation": dilation, "padding": pairs, "size": size}
