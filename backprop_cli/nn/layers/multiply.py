"""The product of several inputs."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import Value
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.layers._shared.joining import Joining


@LAYERS.register
class Multiply(Joining):
    """``out = x1 * x2 * ...``, elementwise: a gate.

    Shapes: x1, x2, ... (batch, ...), all of one shape -> out as x1
    YAML:   {type: multiply, inputs: [dense_1, dense_3]}
    Raises: ShapeError if the shapes differ.
    Source: Srivastava, Greff & Schmidhuber, Highway Networks (2015), section 2: gates.
    """

    type: Literal["multiply"] = "multiply"

    def pair(self, left: Value, right: Value) -> Value:
        return left * right
