"""The hyperbolic tangent."""

from __future__ import annotations

from typing import Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Tanh(Activation):
    """``out = tanh(x)``, in (-1, 1).

    The derivative is ``1 - out^2``, as in PyTorch: right to 1e-7 in float32, not to a share of itself far from 0.

    Shapes: x any -> out as x
    YAML:   tanh
    """

    type: Literal["tanh"] = "tanh"

    def apply(self, x: Value) -> Value:
        """``tanh(x)``."""
        return autodiff.tanh(x)
