"""The identity: no activation, written explicitly."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import Value
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Identity(Activation):
    """``out = x``.

    Shapes: x any -> out as x
    YAML:   identity
    """

    type: Literal["identity"] = "identity"

    def apply(self, x: Value) -> Value:
        return x
