"""The largest of each channel."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.nn.layer import LAYERS, Layer, Params, Sample
from backprop_cli.nn.windows import check_axes


@LAYERS.register
class GlobalMaxPool(Layer):
    """``out[n, c] = largest of x[n, c, ...]`` over all pixels of a channel: a vector from an image of any size.

    Shapes: x (batch, channels, height, width) or (batch, channels, length) -> out (batch, channels)
    YAML:   global_max_pool
    Raises: ShapeError for examples of other shapes.
    """

    type: Literal["global_max_pool"] = "global_max_pool"

    samples: ClassVar[tuple[Sample, ...]] = (Sample({}, ((2, 3, 2),)), Sample({}, ((3, 4),)))

    def apply(self, params: Params, *x: Value) -> Value:
        """One number a channel."""
        check_axes(self.type, x[0].spec, 2, 1)
        return autodiff.global_max_pool(x[0])
