"""Vectors for tokens."""

from __future__ import annotations

from typing import ClassVar, Literal

from backprop_cli.autodiff import Spec, Value, take_rows
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.normal import Normal
from backprop_cli.nn.layer import LAYERS, Param, ParameterLayer, Params, Sample
from backprop_cli.settings import AutoInt, PositiveInt


@LAYERS.register
class Embedding(ParameterLayer):
    """A learned vector for each token: ``out[..., :] = weight[x[...], :]``.

    It reads ``input``: the examples must be integers in [0, tokens), and other numbers are a data error.

    Shapes: x (batch, ...) int64 -> out (batch, ..., width); weight (tokens, width), as in PyTorch
    YAML:   {type: embedding, tokens: 65, width: 128}
    Source: Bengio et al., A Neural Probabilistic Language Model (2003), section 2; torch.nn.Embedding.
    """

    type: Literal["embedding"] = "embedding"
    tokens: AutoInt
    """number of different tokens; auto: as many as the train split has"""
    width: PositiveInt
    """size of a token's vector"""
    initializer: InitializerType = Normal(std=1.0)
    """how the weight starts"""

    position_wise: ClassVar[bool] = True
    vocabulary_key: ClassVar[str | None] = "tokens"
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"tokens": 5, "width": 3}, ((4,),)),
        Sample({"tokens": 3, "width": 2}, ((2, 2),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        return {"weight": Param((self.tokens, self.width), self.initializer, self.tokens, self.width)}

    def apply(self, params: Params, *x: Value) -> Value:
        return take_rows(params["weight"], x[0])
