"""The Gaussian error linear unit."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from backprop_cli.autodiff import Value, clip, erf, tanh
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Gelu(Activation):
    """``out = x * Phi(x)`` with the normal distribution function ``Phi(x) = (1 + erf(x / sqrt(2))) / 2``.

    With ``approximate: tanh``, ``Phi(x) = (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2``. As in PyTorch,
    Phi below 0 is computed as a difference from 1: its error in float32 is 2e-6 absolute, not relative.

    Shapes: x any -> out as x
    YAML:   {type: gelu, approximate: tanh}
    Source: Hendrycks & Gimpel, Gaussian Error Linear Units (2016), section 2.
    """

    type: Literal["gelu"] = "gelu"
    approximate: Literal["none", "tanh"] = "none"
    """none: by the error function; tanh: the approximation"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"approximate": "tanh"})

    def apply(self, x: Value) -> Value:
        if self.approximate == "none":
            return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))
        # Beyond 10 tanh is exactly 1 or -1; clipped, its argument and derivative cannot overflow.
        near = clip(x, -10.0, 10.0)
        return 0.5 * x * (1.0 + tanh(math.sqrt(2.0 / math.pi) * (near + 0.044715 * near * near * near)))
