"""A smooth rectifier."""

from __future__ import annotations

from typing import Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Softplus(Activation):
    """``out = log(1 + exp(x))``, a smooth relu.

    Shapes: x any -> out as x
    YAML:   softplus
    Source: Glorot, Bordes & Bengio, Deep Sparse Rectifier Neural Networks (2011).
    """

    type: Literal["softplus"] = "softplus"

    def apply(self, x: Value) -> Value:
        return autodiff.softplus(x)
