"""Normalization by the size of an example alone."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from backprop_cli.autodiff import Spec, Value, mean, sqrt, square
from backprop_cli.nn.layer import LAYERS, Param, Params, Sample
from backprop_cli.nn.layers.normalizing import Normalizing, last_axes


@LAYERS.register
class RmsNorm(Normalizing):
    """``out = x / sqrt(mean of x^2 + epsilon) * weight``, the mean over the last axes.

    As layer_norm without the mean and the bias. ``axes`` is how many of the last axes, or ``all`` of the example.

    Shapes: x (batch, ..., *normalized) -> out as x; weight (*normalized,), as in PyTorch, whose normalized_shape are
            these sizes, and whose epsilon is by default that of the precision
    YAML:   rms_norm
    Source: Zhang & Sennrich, Root Mean Square Layer Normalization (2019), equation 4.
    Raises: ShapeError where the examples have fewer axes.
    """

    type: Literal["rms_norm"] = "rms_norm"
    axes: Annotated[int, Field(gt=0)] | Literal["all"] = 1
    """how many of the last axes are normalized together"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({}, ((4,),)),
        Sample({}, ((3, 2),)),
        Sample({"epsilon": 0.01, "axes": 2, "affine": False}, ((2, 3),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        """``weight``, unless switched off."""
        return self.affine_params(tuple(x[0].shape[axis] for axis in last_axes(self, self.axes, x[0])))

    def memory(self, *x: Spec, context: int) -> dict[str, Spec] | None:
        """None where positions are normalized together."""
        return None if 1 in last_axes(self, self.axes, x[0]) else {}

    def apply(self, params: Params, *x: Value) -> Value:
        """Divided by its root mean square."""
        axes = last_axes(self, self.axes, x[0].spec)
        size = sqrt(mean(square(x[0]), axes, keepdims=True) + self.epsilon)
        return self.scaled(x[0] * (1.0 / size), params, tuple(x[0].shape[axis] for axis in axes))
