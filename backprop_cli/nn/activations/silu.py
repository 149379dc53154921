"""The sigmoid linear unit."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import Value, sigmoid
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Silu(Activation):
    """``out = x / (1 + exp(-x))``, also known as swish.

    Shapes: x any -> out as x
    YAML:   silu
    Source: Elfwing, Uchibe & Doya, Sigmoid-Weighted Linear Units (2018), section 2.
    """

    type: Literal["silu"] = "silu"

    def apply(self, x: Value) -> Value:
        return x * sigmoid(x)
