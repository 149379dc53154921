"""Normalization of each example, or of each position of a sequence."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Value
from backprop_cli.nn.layer import LAYERS, Sample
from backprop_cli.nn.layers._shared.normalizing import LastAxes, Standardizing


@LAYERS.register
class LayerNorm(LastAxes, Standardizing):
    """``out = (x - mean) / sqrt(variance + epsilon) * weight + bias``, mean and variance over the last axes.

    The variance is divided by n. ``axes`` is the number of last axes: 1 normalizes the features of a vector, or of
    each position of a sequence; ``all`` normalizes the whole example.

    Shapes: x (batch, ..., *normalized) -> out as x; weight, bias (*normalized,), the
            normalized_shape of PyTorch
    YAML:   layer_norm
    Raises: ShapeError for examples with fewer axes.
    Source: Ba, Kiros & Hinton, Layer Normalization (2016), equations 3 and 4.
    """

    type: Literal["layer_norm"] = "layer_norm"

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({}, ((4,),)),
        Sample({"epsilon": 0.01, "affine": False}, ((2, 3),)),
        Sample({"axes": "all"}, ((2, 2, 2),)),
    )

    def normalized(self, x: Value, axes: tuple[int, ...]) -> Value:
        return self.standardized(x, axes)
