"""What the pooling layers share."""

from __future__ import annotations

from typing import Any, ClassVar

from backprop_cli.autodiff import Spec
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import Layer, Sample
from backprop_cli.nn.windows import Margins, Sizes, check_axes, check_windows, per_axis


class Pooling(Layer):
    """One number for each window of each channel; images or sequences by the shape of an example."""

    kernel: Sizes
    """height and width of a window (of a sequence: its length)"""
    stride: Sizes | None = None
    """steps from one window to the next; default: the kernel, so that windows touch"""
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
