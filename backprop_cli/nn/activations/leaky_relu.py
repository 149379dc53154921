"""The leaky rectifier."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from backprop_cli.autodiff import Value, greater, where
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class LeakyRelu(Activation):
    """``out = x where x > 0, else negative_slope * x``; its derivative at 0 is ``negative_slope``, as in PyTorch.

    Shapes: x any -> out as x
    YAML:   {type: leaky_relu, negative_slope: 0.2}
    Source: Maas, Hannun & Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models (2013), equation 2.
    """

    type: Literal["leaky_relu"] = "leaky_relu"
    negative_slope: Annotated[float, Field(allow_inf_nan=False)] = 0.01
    """slope below 0"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"negative_slope": 0.3})

    def apply(self, x: Value) -> Value:
        return where(greater(x, 0.0), x, self.negative_slope * x)
