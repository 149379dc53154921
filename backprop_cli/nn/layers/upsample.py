"""Images and sequences enlarged."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.nn.layer import LAYERS, Layer, Params, Sample
from backprop_cli.nn.layers._shared.sizes import Sizes, check_axes, per_axis


@LAYERS.register
class Upsample(Layer):
    """``out[n, c, q] = x[n, c, q // factor]`` along each axis: images and sequences, enlarged ``factor`` times.

    That is ``nearest``, which repeats every element; ``linear`` (bilinear for images) interpolates between the two
    nearest, with output q at ``(q + 1/2) / factor - 1/2`` and the edges repeated, as PyTorch's with
    ``align_corners=False``.

    Shapes: x (batch, channels, height, width) -> out (batch, channels, height * factor, width * factor);
            x (batch, channels, length) -> out (batch, channels, length * factor)
    YAML:   {type: upsample, factor: 2, method: nearest}
    Raises: ShapeError for examples of other shapes.
    Source: torch.nn.Upsample.
    """

    type: Literal["upsample"] = "upsample"
    factor: Sizes
    """factor of height and width (of a sequence: of its length)"""
    method: Literal["nearest", "linear"] = "nearest"
    """nearest repeats elements, linear interpolates"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"factor": 2}, ((2, 2, 3),)),
        Sample({"factor": [2, 3], "method": "linear"}, ((1, 3, 2),)),
        Sample({"factor": 3}, ((2, 2),)),
        Sample({"factor": 2, "method": "linear"}, ((2, 3),)),
    )

    def apply(self, params: Params, *x: Value) -> Value:
        check_axes(self.type, x[0].spec, 2, 1)
        function = autodiff.repeat if self.method == "nearest" else autodiff.interpolate
        return function(x[0], per_axis(self.type, "factor", self.factor, x[0].spec))
