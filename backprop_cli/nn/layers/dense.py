"""The affine layer."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec, Value, reshape
from backprop_cli.errors import ShapeError
from backprop_cli.nn.layer import LAYERS, Param, Params, Sample
from backprop_cli.nn.layers._shared.affine import Affine


@LAYERS.register
class Dense(Affine):
    """Affine map ``out = activation(x @ weight.T + bias)``.

    It maps each position of a sequence.

    Shapes: x (batch, fan_in) -> out (batch, units), or x (batch, time, fan_in) -> out (batch, time, units);
            weight (units, fan_in), bias (units,), as in PyTorch
    YAML:   {type: dense, units: 64, activation: relu, initializer: he_normal}
    Raises: ShapeError for examples that are neither vectors nor sequences of them.
    Source: Rumelhart, Hinton & Williams, Learning Representations by Back-Propagating Errors (1986), equation 1;
            torch.nn.Linear.
    """

    type: Literal["dense"] = "dense"

    position_wise: ClassVar[bool] = True
    width_key: ClassVar[str | None] = "units"
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"units": 4}, ((3,),)),
        Sample({"units": 2, "bias": False, "activation": "tanh"}, ((5,),)),
        Sample({"units": 2}, ((3, 4),)),
        Sample({"units": 2, "parametrization": "ntk"}, ((3,),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        (spec,) = x
        if spec.ndim not in (2, 3):
            raise ShapeError(self.type, "needs one vector per example; put {type: flatten} before it", x=spec)
        fan_in = spec.shape[-1]
        return {"weight": self.weight_param((), fan_in), **self.bias_param((), fan_in)}

    def product(self, params: Params, x: Value) -> Value:
        """``x @ weight.T``."""
        return x @ self.in_use(params["weight"]).T

    def linear(self, params: Params, *x: Value) -> Value:
        """``x @ weight.T + bias``; the positions of all sequences are rows of one product."""
        (examples,) = x
        is_sequence = examples.ndim == 3
        rows = reshape(examples, (math.prod(examples.shape[:-1]), examples.shape[-1])) if is_sequence else examples
        out = super().linear(params, rows)
        return reshape(out, (*examples.shape[:-1], self.units)) if is_sequence else out
