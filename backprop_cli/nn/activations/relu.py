"""The rectifier."""

from __future__ import annotations

from typing import Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Relu(Activation):
    """``out = max(x, 0)``; its derivative at 0 is 0.

    Shapes: x any -> out as x
    YAML:   relu
    Source: Glorot, Bordes & Bengio, Deep Sparse Rectifier Neural Networks (2011).
    """

    type: Literal["relu"] = "relu"

    def apply(self, x: Value) -> Value:
        return autodiff.relu(x)
