"""The affine layer of an ensemble whose members share most of their weights."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec, Value, reshape, transpose
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.ones import Ones
from backprop_cli.nn.initializers.random_signs import RandomSigns
from backprop_cli.nn.layer import LAYERS, Param, Params, Sample
from backprop_cli.nn.layers._shared.affine import Affine
from backprop_cli.nn.members import folded, unfolded, with_members
from backprop_cli.settings import PositiveInt


@LAYERS.register
class EnsembleDense(Affine):
    """Member i computes ``out[:, i] = activation(s[i] * ((r[i] * x) @ weight.T) + bias[i])``.

    All members share one weight, and each scales its inputs and outputs. With ``shared: false`` each has a weight of
    its own, and no scalings: the heads of an ensemble. Members are trained on their own losses, and the network's
    prediction is the mean of theirs. The first layer with members makes the network an ensemble. There ``r`` is random,
    with one number for all features that come from one column of the data, such as its bins.

    Shapes: x (batch, fan_in) or (batch, members, fan_in) -> out (batch, members, units); weight (units, fan_in), r
            (members, fan_in), s and bias (members, units); not shared: weight (members, units, fan_in)
    YAML:   {type: ensemble_dense, units: 256, members: 32, activation: relu}
    Raises: ShapeError for examples of other shapes.
    Source: Gorishniy, Kotelnikov & Babenko, TabM (2025), section 3.3; Wen, Tran & Ba, BatchEnsemble (2020), equation 5.
    """

    type: Literal["ensemble_dense"] = "ensemble_dense"
    members: PositiveInt = 32
    """members of the ensemble"""
    shared: bool = True
    """whether members share one weight and scale its inputs and outputs; false: each has its own weight"""
    r_initializer: InitializerType | None = None
    """how the factors of the inputs start; default: random_signs in the first layer with members, then ones"""

    width_key: ClassVar[str | None] = "units"
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"units": 2, "members": 3}, ((4,),)),
        Sample({"units": 2, "members": 3, "activation": "tanh"}, ((3, 4),)),
        Sample({"units": 2, "members": 3, "shared": False}, ((3, 4),)),
        Sample({"units": 2, "members": 2, "shared": False, "bias": False, "parametrization": "ntk"}, ((3,),)),
    )

    @property
    def ensemble(self) -> int | None:
        return self.members

    def params(self, *x: Spec) -> dict[str, Param]:
        (spec,) = x
        if spec.ndim not in (2, 3) or spec.shape[1:-1] not in ((), (self.members,)):
            raise ShapeError(self.type, "needs one vector per example; put {type: flatten} before it", x=spec)
        fan_in = spec.shape[-1]
        if not self.shared:
            lead = (self.members,)
            return {"weight": self.weight_param(lead, fan_in), **self.bias_param(lead, fan_in)}
        first = self.r_initializer or (RandomSigns() if spec.ndim == 2 else Ones())
        return {
            "weight": self.weight_param((), fan_in),
            "r": Param((self.members, fan_in), first, regularized=False, by_column=True),
            "s": Param((self.members, self.units), Ones(), regularized=False),
            **self.bias_param((self.members,), fan_in),
        }

    def product(self, params: Params, x: Value) -> Value:
        weight = self.in_use(params["weight"])
        if self.shared:
            alike = x if x.ndim == 3 else reshape(x, (x.shape[0], 1, x.shape[1]))
            # The members are rows of one product.
            return unfolded(folded(alike * params["r"]) @ weight.T, self.members) * params["s"]
        each = x if x.ndim == 3 else with_members(x, self.members)
        return transpose(transpose(each, (1, 0, 2)) @ transpose(weight, (0, 2, 1)), (1, 0, 2))
