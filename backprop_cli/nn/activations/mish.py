"""Mish."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import Value, softplus, tanh
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Mish(Activation):
    """``out = x * tanh(log(1 + exp(x)))``.

    Shapes: x any -> out as x
    YAML:   mish
    Source: Misra, Mish: A Self Regularized Non-Monotonic Activation Function (2020), section 2.
    """

    type: Literal["mish"] = "mish"

    def apply(self, x: Value) -> Value:
        return x * tanh(softplus(x))
