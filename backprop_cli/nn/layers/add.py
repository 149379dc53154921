"""The sum of several inputs."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import Value
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.layers._shared.joining import Joining


@LAYERS.register
class Add(Joining):
    """``out = x1 + x2 + ...``, elementwise: a residual connection.

    Shapes: x1, x2, ... (batch, ...), all of one shape -> out as x1
    YAML:   {type: add, inputs: [dense_1, dense_3]}
    Raises: ShapeError if the shapes differ.
    Source: He et al., Deep Residual Learning for Image Recognition (2015), equation 1.
    """

    type: Literal["add"] = "add"

    def pair(self, left: Value, right: Value) -> Value:
        return left + right
