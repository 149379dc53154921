"""Normalization of each example, or of each position of a sequence, by itself."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from backprop_cli.autodiff import Spec, Value
from backprop_cli.nn.layer import LAYERS, Param, Params, Sample
from backprop_cli.nn.layers.normalizing import Standardizing, last_axes


@LAYERS.register
class LayerNorm(Standardizing):
    """``out = (x - mean) / sqrt(variance + epsilon) * weight + bias``, mean and variance over the last axes.

    The variance is divided by n. ``axes`` is how many of the last axes: 1 takes the features of a vector, or of each
    position of a sequence; ``all`` those of the whole example.

    Shapes: x (batch, ..., *normalized) -> out as x; weight, bias (*normalized,), as in PyTorch, whose normalized_shape
            are these sizes
    YAML:   layer_norm
    Source: Ba, Kiros & Hinton, Layer Normalization (2016), equations 3 and 4.
    Raises: ShapeError where the examples have fewer axes.
    """

    type: Literal["layer_norm"] = "layer_norm"
    axes: Annotated[int, Field(gt=0)] | Literal["all"] = 1
    """how many of the last axes are normalized together"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({}, ((4,),)),
        Sample({"epsilon": 0.01, "affine": False}, ((2, 3),)),
        Sample({"axes": "all"}, ((2, 2, 2),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        """``weight`` and ``bias``, unless switched off."""
        return self.affine_params(tuple(x[0].shape[axis] for axis in last_axes(self, self.axes, x[0])))

    def memory(self, *x: Spec, context: int) -> dict[str, Spec] | None:
        """None where positions are normalized together."""
        return None if 1 in last_axes(self, self.axes, x[0]) else {}

    def apply(self, params: Params, *x: Value) -> Value:
        """Normalized by its own mean and variance."""
        axes = last_axes(self, self.axes, x[0].spec)
        shape = tuple(x[0].shape[axis] for axis in axes)
        return self.scaled(self.standardized(x[0], axes), params, shape)
