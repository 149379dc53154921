"""The affine layer."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from backprop_cli.autodiff import Spec, Value
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.glorot_uniform import GlorotUniform
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import LAYERS, Param, Params, Sample, WeightedLayer


@LAYERS.register
class Dense(WeightedLayer):
    """Affine map ``out = activation(x @ weight.T + bias)``.

    Shapes: x (batch, fan_in) -> out (batch, units); weight (units, fan_in), bias (units,), as in PyTorch
    YAML:   {type: dense, units: 64, activation: relu, initializer: he_normal}
    Raises: ShapeError for examples that are not vectors.
    """

    type: Literal["dense"] = "dense"
    units: Annotated[int, Field(gt=0)]
    """number of outputs"""
    bias: bool = True
    """whether a number is added to each output"""
    initializer: InitializerType = GlorotUniform()
    """how the weight starts"""
    bias_initializer: InitializerType = Zeros()
    """how the bias starts"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"units": 4}, ((3,),)),
        Sample({"units": 2, "bias": False, "activation": "tanh"}, ((5,),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        """``weight`` and, unless switched off, ``bias``."""
        (spec,) = x
        if spec.ndim != 2:
            raise ShapeError(self.type, "needs one vector an example; put {type: flatten} before it", x=spec)
        fan_in = spec.shape[1]
        weight = Param((self.units, fan_in), self.initializer, fan_in, self.units)
        bias = Param((self.units,), self.bias_initializer, fan_in, self.units, regularized=False)
        return {"weight": weight, "bias": bias} if self.bias else {"weight": weight}

    def linear(self, params: Params, *x: Value) -> Value:
        """``x @ weight.T + bias``."""
        out = x[0] @ params["weight"].T
        return out + params["bias"] if self.bias else out
