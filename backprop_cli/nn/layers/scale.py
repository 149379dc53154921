"""A factor for each input."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec, Value, reshape
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.ones import Ones
from backprop_cli.nn.initializers.random_signs import RandomSigns
from backprop_cli.nn.layer import LAYERS, Chunks, Param, ParameterLayer, Params, Sample
from backprop_cli.settings import Maybe, PositiveInt


@LAYERS.register
class Scale(ParameterLayer):
    """``out = x * weight``: a learned factor for each feature.

    With ``members`` the network becomes an ensemble from here on, and each member has its own factors (TabM-mini):
    ``out[:, i] = x * weight[i]``. Layers below map all members alike, and ``ensemble_dense`` gives each its own head.

    Shapes: x (batch, features) -> out as x; weight (features,); with members x (batch, features) or (batch, members,
            features) -> out (batch, members, features); weight (members, features)
    YAML:   {type: scale, members: 32}
    Raises: ShapeError for examples of other shapes.
    Source: Holzmueller, Grinsztajn & Steinwart, Better by Default (2024), section 3; members: Gorishniy, Kotelnikov &
            Babenko, TabM (2025), section 3.
    """

    type: Literal["scale"] = "scale"
    members: Maybe[PositiveInt] = None
    """members of an ensemble, each with factors of its own; none: one factor for each feature"""
    initializer: InitializerType | None = None
    """how the factors start; default: ones, for members random_signs"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({}, ((3,),)),
        Sample({"members": 2}, ((3,),)),
        Sample({"members": 2, "initializer": "normal"}, ((2, 3),)),
    )

    @property
    def ensemble(self) -> int | None:
        return self.members

    def params(self, *x: Spec) -> dict[str, Param]:
        (spec,) = x
        if self.members is None:
            if spec.ndim < 2:
                raise ShapeError(self.type, "needs one vector per example", x=spec)
            return {"weight": Param(spec.shape[-1:], self.initializer or Ones(), regularized=False)}
        if spec.shape[1:-1] not in ((), (self.members,)):
            raise ShapeError(self.type, "needs one vector per example; put {type: flatten} before it", x=spec)
        shape = (self.members, spec.shape[-1])
        return {"weight": Param(shape, self.initializer or RandomSigns(), regularized=False, by_column=True)}

    def chunks(self, *x: Chunks) -> Chunks:
        return x[0]

    def apply(self, params: Params, *x: Value) -> Value:
        (examples,) = x
        if self.members is not None and examples.ndim == 2:
            examples = reshape(examples, (examples.shape[0], 1, examples.shape[1]))
        return examples * params["weight"]
