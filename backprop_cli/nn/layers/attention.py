"""Multi-head attention."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

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
from backprop_cli.settings import FractionBelowOne, PositiveInt

_MOST_HEADS = 1024
"""Most heads that a message suggests."""


@LAYERS.register
class Attention(ParameterLayer):
    """Multi-head attention: ``out = concat(head_1, ...) @ out_proj.weight.T + out_proj.bias``.

    ``head = softmax(q @ k.T / sqrt(width / heads)) @ v``, with ``q``, ``k`` and ``v`` a head's share of
    ``x @ in_proj_weight.T + in_proj_bias``. Rows of the weight belong to all queries, then all keys, then all values.
    With two inputs the queries come from the first, keys and values from the second. Backward reads q, k, v and the
    probabilities.

    Shapes: x (batch, time, width), optional second input (batch, others, width) -> out as x;
            in_proj_weight (3 width, width), in_proj_bias (3 width,), out_proj.weight (width, width), out_proj.bias
            (width,), as in PyTorch's MultiheadAttention; noise (batch, heads, time, time or others)
    YAML:   {type: attention, heads: 4, causal: true}
    Raises: ShapeError for examples that are not sequences of vectors, a width that is not a multiple of the heads, and
            causal attention to a sequence of another length.
    Source: Vaswani et al., Attention Is All You Need (2017), section 3.2; with the paper's dropout of probabilities.
    """

    type: Literal["attention"] = "attention"
    heads: PositiveInt = 1
    """number of heads; each works on its share of the width"""
    causal: bool = False
    """whether a position attends only to itself and earlier positions"""
    dropout: FractionBelowOne = 0.0
    """probability that an attention weight is dropped, in training"""
    bias: bool = True
    """whether biases are added to queries, keys, values and outputs"""
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
        """The projection to queries, keys and values in one matrix, and the projection of the heads' outputs."""
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
            raise ShapeError(self.type, "needs two sequences of the same width", **given)
        if x[0].shape[2] % self.heads:
            raise ShapeError(self.type, self._uneven(x[0].shape[2]), **given)
        if self.causal and x[0].shape[1] != x[-1].shape[1]:
            raise ShapeError(self.type, "causal attention needs as many keys as queries", **given)

    def _uneven(self, width: int) -> str:
        fewer = next(n for n in range(min(self.heads, width, _MOST_HEADS), 0, -1) if width % n == 0)
        return f"a width of {width} is not a multiple of {self.heads} heads; set heads: {fewer}, or another width"

    def noise(self, *x: Spec) -> dict[str, Spec]:
        if not self.dropout:
            return {}
        shape = (x[0].shape[0], self.heads, x[0].shape[1], x[-1].shape[1])
        return {"noise": x[0].with_shape(shape)}

    def apply(self, params: Params, *x: Value) -> Value:
        queries, keys, values = (self._projected(params, number, x[0 if number == 0 else -1]) for number in range(3))
        probs = fused_softmax(queries @ transpose(keys, (0, 1, 3, 2)), self.causal)
        if "noise" in params:
            probs = probs * kept(params["noise"], self.dropout)
        return self._joined(params, probs @ values)

    @property
    def noncausal_key(self) -> str | None:
        return None if self.causal else "causal"

    @property
    def is_bounded(self) -> bool:
        return True

    def memory(self, *x: Spec, context: int) -> dict[str, Spec] | None:
        """Keys and values so far, and the number of the position; None if it is not causal, or has a second input."""
        if not self.causal or len(x) > 1:
            return None
        batch, _, width = x[0].shape
        each = x[0].with_shape((batch, self.heads, context, width // self.heads))
        return {"keys": each, "values": each, "position": Spec((1,), np.dtype(np.int64))}

    def advance(self, params: Params, memory: Params, *x: Value) -> tuple[Value, dict[str, Value]]:
        query, key, value = (self._projected(params, number, x[0]) for number in range(3))
        position, context = memory["position"], memory["keys"].shape[2]
        here = reshape(one_hot(position, context, x[0].dtype), (context, 1))
        keys, values = memory["keys"] + here * key, memory["values"] + here * value
        seen = greater_equal(cast(position, x[0].dtype), np.arange(context, dtype=x[0].dtype))
        scores = where(seen, query @ transpose(keys, (0, 1, 3, 2)), -math.inf)
        out = self._joined(params, fused_softmax(scores) @ values)
        return out, {"keys": keys, "values": values, "position": position + 1.0}

    def _joined(self, params: Params, heads: Value) -> Value:
        """Projection of the heads' outputs: (batch, heads, time, width / heads) -> (batch, time, width)."""
        batch, _, time, share = heads.shape
        rows = reshape(transpose(heads, (0, 2, 1, 3)), (batch * time, self.heads * share))
        out = rows @ params["out_proj.weight"].T
        return reshape(out + params["out_proj.bias"] if self.bias else out, (batch, time, self.heads * share))

    def _projected(self, params: Params, number: int, x: Value) -> Value:
        """Queries (0), keys (1) or values (2) of all heads: (batch, heads, time, width / heads).

        The scale of the queries is applied to their weight, which is smaller than they are.
        """
        batch, time, width = x.shape
        scale = 1.0 / math.sqrt(width // self.heads) if number == 0 else 1.0
        weight = slice_(params["in_proj_weight"], 0, number * width, (number + 1) * width)
        out = reshape(x, (batch * time, width)) @ (weight * scale if number == 0 else weight).T
        if self.bias:
            bias = slice_(params["in_proj_bias"], 0, number * width, (number + 1) * width)
            out = out + (bias * scale if number == 0 else bias)
        return transpose(reshape(out, (batch, time, self.heads, width // self.heads)), (0, 2, 1, 3))
