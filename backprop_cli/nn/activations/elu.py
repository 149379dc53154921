"""The exponential linear unit."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from backprop_cli.autodiff import Value, expm1, greater, where
from backprop_cli.nn.activation import ACTIVATIONS, Activation
from backprop_cli.settings import Positive


def elu(x: Value, alpha: float) -> Value:
    """``x where x > 0, else alpha * (exp(x) - 1)``; the derivative at 0 is ``alpha``."""
    positive = greater(x, 0.0)
    # The exponential never sees a positive number: backward multiplies the other branch by 0, and 0 * inf is NaN.
    negative = expm1(where(positive, 0.0, x))
    return where(positive, x, negative if alpha == 1 else alpha * negative)


@ACTIVATIONS.register
class Elu(Activation):
    """``out = x where x > 0, else alpha * (exp(x) - 1)``; its derivative at 0 is ``alpha``, as in PyTorch.

    Shapes: x any -> out as x
    YAML:   {type: elu, alpha: 1.0}
    Source: Clevert, Unterthiner & Hochreiter, Fast and Accurate Deep Network Learning by ELUs (2016), section 3.
    """

    type: Literal["elu"] = "elu"
    alpha: Positive = 1.0
    """the output approaches minus this far below 0"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"alpha": 0.5})

    def apply(self, x: Value) -> Value:
        return elu(x, self.alpha)
