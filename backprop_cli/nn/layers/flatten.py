"""Examples flattened to vectors."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from backprop_cli.autodiff import Value, reshape
from backprop_cli.nn.layer import LAYERS, Layer, Params, Sample


@LAYERS.register
class Flatten(Layer):
    """``out[n, (i, j, ...)] = x[n, i, j, ...]``: each example as a vector, in row-major order.

    Shapes: x (batch, a, b, ...) -> out (batch, a * b * ...)
    YAML:   flatten
    Source: torch.nn.Flatten.
    """

    type: Literal["flatten"] = "flatten"

    passes_on: ClassVar[bool] = True
    samples: ClassVar[tuple[Sample, ...]] = (Sample({}, ((2, 3, 2),)), Sample({}, ((4,),)))

    def apply(self, params: Params, *x: Value) -> Value:
        batch, *sizes = x[0].shape
        return reshape(x[0], (batch, math.prod(sizes)))
