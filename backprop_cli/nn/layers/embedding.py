"""Tokens to vectors."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from backprop_cli.autodiff import Spec, Value, take_rows
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.normal import Normal
from backprop_cli.nn.layer import LAYERS, Param, ParameterLayer, Params, Sample


@LAYERS.register
class Embedding(ParameterLayer):
    """A vector for each token, learned: ``out[..., :] = weight[x[...], :]``.

    It reads ``input``, which makes the examples integers in [0, tokens): a column of any other number is a data error.

    Shapes: x (batch, ...) int64 -> out (batch, ..., width); weight (tokens, width), as in PyTorch
    YAML:   {type: embedding, tokens: 65, width: 128}
    """

    type: Literal["embedding"] = "embedding"
    tokens: Annotated[int, Field(gt=0)]
    """how many different tokens there are"""
    width: Annotated[int, Field(gt=0)]
    """numbers that stand for each"""
    initializer: InitializerType = Normal(std=1.0)
    """how the weight starts"""

    position_wise: ClassVar[bool] = True
    vocabulary_key: ClassVar[str | None] = "tokens"
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"tokens": 5, "width": 3}, ((4,),)),
        Sample({"tokens": 3, "width": 2}, ((2, 2),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        """``weight``."""
        return {"weight": Param((self.tokens, self.width), self.initializer, self.tokens, self.width)}

    def apply(self, params: Params, *x: Value) -> Value:
        """The tokens' rows."""
        return take_rows(params["weight"], x[0])
