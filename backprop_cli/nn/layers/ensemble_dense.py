"""The affine layer of an ensemble whose members share most of their weights."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec, Value, reshape, transpose
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.glorot_uniform import GlorotUniform
from backprop_cli.nn.initializers.ones import Ones
from backprop_cli.nn.initializers.random_signs import RandomSigns
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import LAYERS, Param, Params, Sample, WeightedLayer
from backprop_cli.nn.members import folded, unfolded, with_members
from backprop_cli.settings import PositiveInt


@LAYERS.register
class EnsembleDense(WeightedLayer):
    """Member i computes ``out[:, i] = activation(s[i] * ((r[i] * x) @ weight.T) + bias[i])``.

    All members share one weight, and each scales its inputs and outputs. With ``shared: false`` each has a weight of
    its own, and no scalings: the heads of an ensemble. Members are trained on their own losses, and the network's
    prediction is the mean of theirs. The first layer with members makes the network an ensemble.

    Shapes: x (batch, fan_in) or (batch, members, fan_in) -> out (batch, members, units); weight (units, fan_in), r
            (members, fan_in), s and bias (members, units); not shared: weight (members, units, fan_in)
    YAML:   {type: ensemble_dense, units: 256, members: 32, activation: relu}
    Raises: ShapeError for examples of other shapes.
    Source: Gorishniy, Kotelnikov & Babenko, TabM (2025), section 3.3; Wen, Tran & Ba, BatchEnsemble (2020), equation 5.
    """

    type: Literal["ensemble_dense"] = "ensemble_dense"
    units: PositiveInt
    """number of outputs of each member"""
    members: PositiveInt = 32
    """members of the ensemble"""
    shared: bool = True
    """whether members share one weight and scale its inputs and outputs; false: each has its own weight"""
    bias: bool = True
    """whether each member adds a bias to each output"""
    initializer: InitializerType = GlorotUniform()
    """how the weight starts"""
    bias_initializer: InitializerType = Zeros()
    """how the bias starts"""
    r_initializer: InitializerType | None = None
    """how the factors of the inputs start; default: random_signs in the first layer with members, then ones"""

    width_key: ClassVar[str | None] = "units"
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"units": 2, "members": 3}, ((4,),)),
        Sample({"units": 2, "members": 3, "activation": "tanh"}, ((3, 4),)),
        Sample({"units": 2, "members": 3, "shared": False}, ((3, 4),)),
        Sample({"units": 2, "members": 2, "shared": False, "bias": False}, ((3,),)),
    )

    @property
    def ensemble(self) -> int | None:
        return self.members

    def params(self, *x: Spec) -> dict[str, Param]:
        (spec,) = x
        if spec.ndim not in (2, 3) or spec.shape[1:-1] not in ((), (self.members,)):
            raise ShapeError(self.type, "needs one vector per example; put {type: flatten} before it", x=spec)
        fan_in = spec.shape[-1]
        bias = Param((self.members, self.units), self.bias_initializer, fan_in, self.units, regularized=False)
        found = {"weight": Param((self.units, fan_in), self.initializer, fan_in, self.units)}
        if self.shared:
            first = self.r_initializer or (RandomSigns() if spec.ndim == 2 else Ones())
            found["r"] = Param((self.members, fan_in), first, regularized=False)
            found["s"] = Param((self.members, self.units), Ones(), regularized=False)
        else:
            found = {"weight": Param((self.members, self.units, fan_in), self.initializer, fan_in, self.units)}
        return {**found, "bias": bias} if self.bias else found

    def linear(self, params: Params, *x: Value) -> Value:
        (examples,) = x
        if self.shared:
            alike = examples if examples.ndim == 3 else reshape(examples, (examples.shape[0], 1, examples.shape[1]))
            # The members are rows of one product.
            out = unfolded(folded(alike * params["r"]) @ params["weight"].T, self.members) * params["s"]
        else:
            each = examples if examples.ndim == 3 else with_members(examples, self.members)
            weights = transpose(params["weight"], (0, 2, 1))
            out = transpose(transpose(each, (1, 0, 2)) @ weights, (1, 0, 2))
        return out + params["bias"] if self.bias else out
