"""The hyperbolic tangent."""

from __future__ import annotations

from typing import Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Tanh(Activation):
    """``out = tanh(x)``, in (-1, 1).

    Shapes: x any -> out as x
    YAML:   tanh
    """

    type: Literal["tanh"] = "tanh"

    def apply(self, x: Value) -> Value:
        """``tanh(x)``."""
        return autodiff.tanh(x)
