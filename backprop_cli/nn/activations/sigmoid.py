"""The logistic function."""

from __future__ import annotations

from typing import Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Sigmoid(Activation):
    """``out = 1 / (1 + exp(-x))``, in (0, 1).

    The derivative is ``out * (1 - out)``, as in PyTorch: in float32 its absolute error is 1e-7, and its relative
    error is large far above 0.

    Shapes: x any -> out as x
    YAML:   sigmoid
    """

    type: Literal["sigmoid"] = "sigmoid"

    def apply(self, x: Value) -> Value:
        return autodiff.sigmoid(x)
