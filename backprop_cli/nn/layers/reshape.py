"""Examples in another shape."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import LAYERS, Layer, Params, Sample
from backprop_cli.settings import Many, refusal


def _size(size: int) -> int:
    if size < 1 and size != -1:
        raise refusal(f"must be greater than 0, or -1 for the rest, got {size}")
    return size


def _one_free(shape: tuple[int, ...]) -> tuple[int, ...]:
    if shape.count(-1) > 1:
        raise refusal(f"at most one size can be -1, got {list(shape)}")
    return shape


@LAYERS.register
class Reshape(Layer):
    """``out[n] = reshape(x[n], shape)``: each example in another shape, in row-major order.

    One size may be -1: it follows from the others.

    Shapes: x (batch, ...) -> out (batch, *shape)
    YAML:   {type: reshape, shape: [1, 8, -1]}
    Raises: ShapeError if the sizes of x and ``shape`` have different products.
    Source: numpy.reshape, of each example.
    """

    type: Literal["reshape"] = "reshape"
    shape: Annotated[Many[Annotated[int, AfterValidator(_size)]], Field(min_length=1), AfterValidator(_one_free)]
    """shape of one example, without the batch"""

    passes_on: ClassVar[bool] = True
    samples: ClassVar[tuple[Sample, ...]] = (Sample({"shape": [3, -1]}, ((12,),)), Sample({"shape": [6]}, ((2, 3),)))

    def apply(self, params: Params, *x: Value) -> Value:
        batch, *sizes = x[0].shape
        return autodiff.reshape(x[0], (batch, *self._resolved(math.prod(sizes), x[0])))

    def _resolved(self, size: int, x: Any) -> tuple[int, ...]:
        known = math.prod(n for n in self.shape if n != -1)
        fits = size % known == 0 if -1 in self.shape else size == known
        if not fits:
            raise ShapeError(self.type, f"{size} entries per example do not fit {list(self.shape)}", x=x.spec)
        return tuple(size // known if n == -1 else n for n in self.shape)
