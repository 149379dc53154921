"""Positions of a sequence look at each other."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from backprop_cli.autodiff import (
    Spec,
    Value,
    cast,
    fused_softmax,
    greater_equal,
    one_hot,
    reshape,
    slice_,
    transpose,
    where,
)
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.glorot_uniform import GlorotUniform
from backprop_cli.nn.initializers.zeros import Zeros
from backprop_cli.nn.layer import LAYERS, Param, ParameterLayer, Params, Sample
from backprop_cli.nn.layers._shared.dropping import kept

_MOST_HEADS = 1024
"""That a message looks for."""


@LAYERS.register
class Attention(ParameterLayer):
    """Multi-head attention: ``out = concat(head_1, ...) @ out_proj.weight.T + out_proj.bias``.

    ``head = softmax(q @ k.T / sqrt(width / heads)) @ v``, with ``q``, ``k`` and ``v`` a head's share of
    ``x @ in_proj_weight.T + in_proj_bias``, whose rows are first those of all q, then of k, then of v. With two inputs
    the first one asks: q is made of it, k and v of the second one. Of all this q, k, v and the probabilities are kept
    for the way back.

    Shapes: x (batch, time, width), and where there is a second input (batch, others, width) -> out as x;
            in_proj_weight (3 width, width), in_proj_bias (3 width,), out_proj.weight (width, width), out_proj.bias
            (width,), as PyTorch's MultiheadAttention has them; noise (batch, heads, time, time or others)
    YAML:   {type: attention, heads: 4, causal: true}
    Raises: ShapeError for examples that are no sequences of vectors, a width that heads cannot share evenly, and causal
            attention to a sequence of another length.
    Source: Vaswani et al., Attention Is All You Need (2017), section 3.2; dropout on the probabilities, as there.
    """

    type: Literal["attention"] = "attention"
    heads: Annotated[int, Field(gt=0)] = 1
    """how many attend side by side, each to its share of the width"""
    causal: bool = False
    """whether a position sees only itself and those before it"""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """probability that a position is not seen, in training"""
    bias: bool = True
    """whether numbers are added to queries, keys, values and outputs"""
    initializer: InitializerType = GlorotUniform()
    """how the weights start"""
    bias_initializer: InitializerType = Zeros()
    """how the biases start"""

    arity: ClassVar[tuple[int, int | None]] = (1, 2)
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"heads": 2, "causal": True}, ((3, 4),)),
        Sample({"heads": 1, "bias": False, "dropout": 0.3}, ((2, 3),)),
        Sample({"heads": 2}, ((3, 4), (2, 4))),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        """Projections to queries, keys and values in one matrix, and that of the heads' results."""
        self._check(*x)
        width = x[0].shape[2]
        found = {"in_proj_weight": Param((3 * width, width), self.initializer, width, width)}
        if self.bias:
            found["in_proj_bias"] = Param((3 * width,), self.bias_initializer, width, regularized=False)
        found["out_proj.weight"] = Param((width, width), self.initializer, width, width)
        if self.bias:
            found["out_proj.bias"] = Param((width,), self.bias_initializer, width, regularized=False)
        return found

    def _check(self, *x: Spec) -> None:
        given = {"x": x[0]} if len(x) == 1 else {"x": x[0], "others": x[1]}
        if any(spec.ndim != 3 for spec in x):
            raise ShapeError(self.type, "needs sequences of vectors (time, width)", **given)
        if x[0].shape[2] != x[-1].shape[2]:
            raise ShapeError(self.type, "needs two sequences of one width", **given)
        if x[0].shape[2] % self.heads:
            raise ShapeError(self.type, self._uneven(x[0].shape[2]), **given)
        if self.causal and x[0].shape[1] != x[-1].shape[1]:
            raise ShapeError(self.type, "causal attention needs as many keys as queries", **given)

    def _uneven(self, width: int) -> str:
        fewer = next(n for n in range(min(self.heads, width, _MOST_HEADS), 0, -1) if width % n == 0)
        return f"a width of {width} is not a multiple of {self.heads} heads; set heads: {fewer}, or another width"

    def noise(self, *x: Spec) -> dict[str, Spec]:
        """One number a probability; none where nothing is dropped."""
        if not self.dropout:
            return {}
        shape = (x[0].shape[0], self.heads, x[0].shape[1], x[-1].shape[1])
        return {"noise": x[0].with_shape(shape)}

    def apply(self, params: Params, *x: Value) -> Value:
        """All heads at once."""
        queries, keys, values = (self._projected(params, number, x[0 if number == 0 else -1]) for number in range(3))
        probs = fused_softmax(queries @ transpose(keys, (0, 1, 3, 2)), self.causal)
        if "noise" in params:
            probs = probs * kept(params["noise"], self.dropout)
        return self._joined(params, probs @ values)

    @property
    def noncausal_key(self) -> str | None:
        """``causal``, where it is false."""
        return None if self.causal else "causal"

    @property
    def is_bounded(self) -> bool:
        """It has room for the keys of one context."""
        return True

    def memory(self, *x: Spec, context: int) -> dict[str, Spec] | None:
        """Keys and values so far, and the number of the position; None where positions see what follows them."""
        if not self.causal or len(x) > 1:
            return None
        batch, _, width = x[0].shape
        each = x[0].with_shape((batch, self.heads, context, width // self.heads))
        return {"keys": each, "values": each, "position": Spec((1,), np.dtype(np.int64))}

    def advance(self, params: Params, memory: Params, *x: Value) -> tuple[Value, dict[str, Value]]:
        """One query against the keys so far."""
        query, key, value = (self._projected(params, number, x[0]) for number in range(3))
        position, context = memory["position"], memory["keys"].shape[2]
        here = reshape(one_hot(position, context, x[0].dtype), (context, 1))
        keys, values = memory["keys"] + here * key, memory["values"] + here * value
        seen = greater_equal(cast(position, x[0].dtype), np.arange(context, dtype=x[0].dtype))
        scores = where(seen, query @ transpose(keys, (0, 1, 3, 2)), -math.inf)
        out = self._joined(params, fused_softmax(scores) @ values)
        return out, {"keys": keys, "values": values, "position": position + 1.0}

    def _joined(self, params: Params, heads: Value) -> Value:
        """What all heads (batch, heads, time, width / heads) say, projected: (batch, time, width)."""
        batch, _, time, share = heads.shape
        rows = reshape(transpose(heads, (0, 2, 1, 3)), (batch * time, self.heads * share))
        out = rows @ params["out_proj.weight"].T
        return reshape(out + params["out_proj.bias"] if self.bias else out, (batch, time, self.heads * share))

    def _projected(self, params: Params, number: int, x: Value) -> Value:
        """Queries (0), keys (1) or values (2) of all heads: (batch, heads, time, width / heads).

        Queries are scaled by way of their weight, which is smaller than they are.
        """
        batch, time, width = x.shape
        scale = 1.0 / math.sqrt(width // self.heads) if number == 0 else 1.0
        weight = slice_(params["in_proj_weight"], 0, number * width, (number + 1) * width)
        out = reshape(x, (batch * time, width)) @ (weight * scale if number == 0 else weight).T
        if self.bias:
            bias = slice_(params["in_proj_bias"], 0, number * width, (number + 1) * width)
            out = out + (bias * scale if number == 0 else bias)
        return transpose(reshape(out, (batch, time, self.heads, width // self.heads)), (0, 2, 1, 3))
