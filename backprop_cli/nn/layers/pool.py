"""Pooling layers: windows or whole channels reduced to one number each."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Spec, Value
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import LAYERS, Layer, Params, Sample
from backprop_cli.nn.layers._shared.sizes import Margins, Sizes, check_axes, check_windows, per_axis


class Pooling(Layer):
    """One number for each window of each channel, of images or sequences."""

    kernel: Sizes
    """height and width of a window (of a sequence: its length)"""
    stride: Sizes | None = None
    """steps from one window to the next; default: the kernel, so that windows do not overlap"""
    padding: Margins = 0
    """elements around the input, at most half of the kernel"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"kernel": 2}, ((2, 4, 5),)),
        Sample({"kernel": [3, 2], "stride": [2, 1], "padding": [1, 0]}, ((1, 4, 3),)),
        Sample({"kernel": 3, "stride": 2, "padding": 1}, ((2, 6),)),
    )

    def windows(self, x: Spec) -> dict[str, Any]:
        """Kernel, stride and padding for each axis."""
        check_axes(self.type, x, 2, 1)
        stride = self.kernel if self.stride is None else self.stride
        given = {"kernel": self.kernel, "stride": stride, "padding": self.padding}
        sizes = {key: per_axis(self.type, key, value, x) for key, value in given.items()}
        if any(2 * margin > size for margin, size in zip(sizes["padding"], sizes["kernel"], strict=True)):
            kernel, padding = list(sizes["kernel"]), list(sizes["padding"])
            raise ShapeError(self.type, f"padding {padding} must be at most half of the kernel {kernel}", x=x)
        pairs = tuple((margin, margin) for margin in sizes["padding"])
        check_windows(self.type, x, sizes["kernel"], sizes["kernel"], pairs)
        return {**sizes, "padding": pairs}


@LAYERS.register
class MaxPool(Pooling):
    """``out[n, c, r, q] = largest of x[n, c, r * stride + i - padding, q * stride + j - padding]`` over the kernel.

    Padding is never the largest. The first largest in row-major order takes the derivative, as in PyTorch.

    Shapes: x (batch, channels, height, width) -> out (batch, channels, rows, columns), each (size + 2 * padding -
            kernel) // stride + 1; x (batch, channels, length) -> out (batch, channels, windows)
    YAML:   {type: max_pool, kernel: 2}
    Raises: ShapeError for examples of other shapes, or smaller than the kernel.
    Source: Scherer, Müller & Behnke, Evaluation of Pooling Operations in Convolutional Architectures (2010);
            torch.nn.MaxPool2d.
    """

    type: Literal["max_pool"] = "max_pool"

    def apply(self, params: Params, *x: Value) -> Value:
        return autodiff.max_pool(x[0], **self.windows(x[0].spec))


@LAYERS.register
class AveragePool(Pooling):
    """``out[n, c, r, q] = mean of x[n, c, r * stride + i - padding, q * stride + j - padding]`` over the kernel.

    Padding counts as zeros, PyTorch's default (``count_include_pad``).

    Shapes: x (batch, channels, height, width) -> out (batch, channels, rows, columns), each (size + 2 * padding -
            kernel) // stride + 1; x (batch, channels, length) -> out (batch, channels, windows)
    YAML:   {type: average_pool, kernel: 2}
    Raises: ShapeError for examples of other shapes, or smaller than the kernel.
    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998), section II-A: subsampling,
            without its trained factor; torch.nn.AvgPool2d.
    """

    type: Literal["average_pool"] = "average_pool"

    def apply(self, params: Params, *x: Value) -> Value:
        return autodiff.average_pool(x[0], **self.windows(x[0].spec))


@LAYERS.register
class GlobalMaxPool(Layer):
    """``out[n, c] = largest of x[n, c, ...]`` over all pixels of a channel: a vector from an image of any size.

    Shapes: x (batch, channels, height, width) or (batch, channels, length) -> out (batch, channels)
    YAML:   global_max_pool
    Raises: ShapeError for examples of other shapes.
    Source: Oquab, Bottou, Laptev & Sivic, Is Object Localization for Free? (2015).
    """

    type: Literal["global_max_pool"] = "global_max_pool"

    samples: ClassVar[tuple[Sample, ...]] = (Sample({}, ((2, 3, 2),)), Sample({}, ((3, 4),)))

    def apply(self, params: Params, *x: Value) -> Value:
        check_axes(self.type, x[0].spec, 2, 1)
        return autodiff.global_max_pool(x[0])


@LAYERS.register
class GlobalAveragePool(Layer):
    """``out[n, c] = mean of x[n, c, ...]`` over all pixels of a channel: a vector from an image of any size.

    Shapes: x (batch, channels, height, width) or (batch, channels, length) -> out (batch, channels)
    YAML:   global_average_pool
    Raises: ShapeError for examples of other shapes.
    Source: Lin, Chen & Yan, Network in Network (2014), section 3.2.
    """

    type: Literal["global_average_pool"] = "global_average_pool"

    samples: ClassVar[tuple[Sample, ...]] = (Sample({}, ((2, 3, 2),)), Sample({}, ((3, 4),)))

    def apply(self, params: Params, *x: Value) -> Value:
        check_axes(self.type, x[0].spec, 2, 1)
        return autodiff.global_average_pool(x[0])
