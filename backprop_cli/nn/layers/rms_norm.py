"""Normalization by the root mean square."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Value, mean, square
from backprop_cli.nn.layer import LAYERS, Sample
from backprop_cli.nn.layers._shared.normalizing import LastAxes


@LAYERS.register
class RmsNorm(LastAxes):
    """``out = x / sqrt(mean of x^2 + epsilon) * weight``, the mean over the last axes.

    It is layer_norm without mean and bias. ``axes`` is the number of last axes, or ``all``.

    Shapes: x (batch, ..., *normalized) -> out as x; weight (*normalized,), the normalized_shape of PyTorch, whose
            default epsilon depends on the precision
    YAML:   rms_norm
    Raises: ShapeError for examples with fewer axes.
    Source: Zhang & Sennrich, Root Mean Square Layer Normalization (2019), equation 4.
    """

    type: Literal["rms_norm"] = "rms_norm"

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({}, ((4,),)),
        Sample({}, ((3, 2),)),
        Sample({"epsilon": 0.01, "axes": 2, "affine": False}, ((2, 3),)),
    )

    def normalized(self, x: Value, axes: tuple[int, ...]) -> Value:
        return x * self.reciprocal(mean(square(x), axes, keepdims=True))
