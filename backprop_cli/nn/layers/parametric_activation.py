"""An activation with a learned strength for each feature."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec, Value
from backprop_cli.errors import ShapeError
from backprop_cli.nn.activation import ActivationType
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.ones import Ones
from backprop_cli.nn.layer import LAYERS, Chunks, Param, ParameterLayer, Params, Sample


@LAYERS.register
class ParametricActivation(ParameterLayer):
    """``out = x + weight * (function(x) - x)``: between x itself and the function, for each feature.

    Shapes: x (batch, ..., features) -> out as x; weight (features,)
    YAML:   {type: parametric_activation, function: mish}
    Raises: ShapeError for examples without an axis.
    Source: Holzmueller, Grinsztajn & Steinwart, Better by Default (2024), section 3.
    """

    type: Literal["parametric_activation"] = "parametric_activation"
    function: ActivationType
    """the activation"""
    initializer: InitializerType = Ones()
    """how the weight starts"""

    position_wise: ClassVar[bool] = True
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"function": "tanh"}, ((3,),)),
        Sample({"function": "tanh", "initializer": "normal"}, ((2, 3),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        if x[0].ndim < 2:
            raise ShapeError(self.type, "needs at least one axis per example", x=x[0])
        return {"weight": Param(x[0].shape[-1:], self.initializer, regularized=False)}

    def chunks(self, *x: Chunks) -> Chunks:
        return x[0]

    def apply(self, params: Params, *x: Value) -> Value:
        (examples,) = x
        return examples + params["weight"] * (self.function.apply(examples) - examples)
