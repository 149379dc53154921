"""The mean of each window."""

from __future__ import annotations

from typing import Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.nn.layer import LAYERS, Params
from backprop_cli.nn.layers.pooling import Pooling


@LAYERS.register
class AveragePool(Pooling):
    """``out[n, c, r, q] = mean of x[n, c, r * stride + i - padding, q * stride + j - padding]`` over the kernel.

    Padding counts as zeros, PyTorch's default (``count_include_pad``).

    Shapes: x (batch, channels, height, width) -> out (batch, channels, rows, columns), each (size + 2 * padding -
            kernel) // stride + 1; x (batch, channels, length) -> out (batch, channels, windows)
    YAML:   {type: average_pool, kernel: 2}
    Raises: ShapeError for examples of other shapes, or smaller than the kernel.
    """

    type: Literal["average_pool"] = "average_pool"

    def apply(self, params: Params, *x: Value) -> Value:
        """Means."""
        return autodiff.average_pool(x[0], **self.windows(x[0].spec))
