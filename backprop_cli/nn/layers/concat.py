"""Several inputs joined along an axis."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Spec, Value
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import LAYERS, Chunks, Layer, Params, Sample


@LAYERS.register
class Concat(Layer):
    """``out = [x1, x2, ...]``: the inputs one after the other along an axis.

    ``axis`` counts the axes of one example from 0, without the batch, as in ``model.input``: axis 0 of a vector are its
    features, of an image its channels. Negative numbers count from the last axis, -1.

    Shapes: x1 (batch, a, ...), x2 (batch, b, ...), ... -> out (batch, a + b + ..., ...)
    YAML:   {type: concat, inputs: [dense_1, input], axis: 0}
    Raises: ShapeError for an axis that the inputs lack, or shapes that differ along another axis.
    Source: Huang et al., Densely Connected Convolutional Networks (2017), equation 2; numpy.concatenate.
    """

    type: Literal["concat"] = "concat"
    axis: int = 0
    """axis of one example, from 0"""

    arity: ClassVar[tuple[int, int | None]] = (2, None)
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({}, ((3,), (2,))),
        Sample({"axis": -1}, ((2, 3), (2, 1), (2, 2))),
        Sample({"axis": 0}, ((2, 3), (1, 3))),
    )

    def chunks(self, *x: Chunks) -> Chunks:
        return sum(x, ()) if all(x) else ()

    def memory(self, *x: Spec, context: int) -> dict[str, Spec] | None:
        return {} if self.axis % (x[0].ndim - 1) else None

    def apply(self, params: Params, *x: Value) -> Value:
        given = {f"x{place}": value.spec for place, value in enumerate(x, 1)}
        axes = x[0].ndim - 1
        if not -axes <= self.axis < axes:
            raise ShapeError(self.type, f"examples have no axis {self.axis}; axes count from 0", **given)
        axis = self.axis % axes + 1
        if len({value.shape[:axis] + value.shape[axis + 1 :] for value in x}) > 1:
            raise ShapeError(self.type, f"inputs must have the same shape except along axis {self.axis}", **given)
        return autodiff.concat(x, axis)
