"""An activation as a layer."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Value
from backprop_cli.nn.activation import ActivationType
from backprop_cli.nn.layer import LAYERS, Chunks, Layer, Params, Sample


@LAYERS.register
class ActivationLayer(Layer):
    """``out = function(x)``: for layers without an ``activation`` key, or after a sum of layers.

    Shapes: x (batch, ...) -> out as x
    YAML:   {type: activation, function: relu}
    Source: Rumelhart, Hinton & Williams, Learning Representations by Back-Propagating Errors (1986), equation 2,
            for any function.
    """

    type: Literal["activation"] = "activation"
    function: ActivationType
    """the activation"""

    position_wise: ClassVar[bool] = True
    samples: ClassVar[tuple[Sample, ...]] = (Sample({"function": "tanh"}, ((2, 3),)),)

    def chunks(self, *x: Chunks) -> Chunks:
        return x[0]

    def apply(self, params: Params, *x: Value) -> Value:
        return self.function.apply(x[0])
