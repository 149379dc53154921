"""The scaled exponential linear unit."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import Value
from backprop_cli.nn.activation import ACTIVATIONS, Activation
from backprop_cli.nn.activations.elu import elu

ALPHA = 1.6732632423543772
SCALE = 1.0507009873554805


@ACTIVATIONS.register
class Selu(Activation):
    """``out = scale * (x where x > 0, else alpha * (exp(x) - 1))``, scale = 1.0507..., alpha = 1.6732...

    The constants keep mean 0 and variance 1 from layer to layer with lecun_normal weights. The derivative at 0 is
    ``scale * alpha``.

    Shapes: x any -> out as x
    YAML:   selu
    Source: Klambauer, Unterthiner, Mayr & Hochreiter, Self-Normalizing Neural Networks (2017), equation 2.
    """

    type: Literal["selu"] = "selu"

    def apply(self, x: Value) -> Value:
        return SCALE * elu(x, ALPHA)
