"""Vectors for the positions of a sequence."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.autodiff import Array, Spec, Value, cast, constant, sin, slice_, take_rows
from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import InitializerType
from backprop_cli.nn.initializers.normal import Normal
from backprop_cli.nn.layer import LAYERS, Param, ParameterLayer, Params, Sample
from backprop_cli.settings import PositiveInt


@LAYERS.register
class PositionalEmbedding(ParameterLayer):
    """Adds a vector for each position: ``out[b, t, :] = x[b, t, :] + weight[t, :]``.

    ``kind: learned``: the weight is a parameter. ``kind: sinusoidal``: ``weight[t, 2i] = sin(t / 10000^(2i / width))``
    and ``weight[t, 2i + 1] = cos(t / 10000^(2i / width))``, which is not trained.

    Shapes: x (batch, time, width) -> out as x; weight (context, width), the first ``time`` rows of it are used
    YAML:   {type: positional_embedding, kind: sinusoidal}
    Raises: ShapeError for examples that are not sequences of vectors, or longer than ``context``.
    Source: Vaswani et al., Attention Is All You Need (2017), section 3.5.
    """

    type: Literal["positional_embedding"] = "positional_embedding"
    kind: Literal["learned", "sinusoidal"] = "learned"
    """learned: a parameter; sinusoidal: sines and cosines of many wavelengths"""
    context: PositiveInt | None = None
    """number of positions with a vector; default: the positions of an example"""
    initializer: InitializerType = Normal(std=0.02)
    """how the weight starts, if it is learned"""

    samples: ClassVar[tuple[Sample, ...]] = (
        Sample({"context": 5}, ((4, 3),)),
        Sample({"kind": "sinusoidal"}, ((4, 6),)),
        Sample({}, ((2, 3),)),
    )

    def params(self, *x: Spec) -> dict[str, Param]:
        (spec,) = x
        if spec.ndim != 3:
            raise ShapeError(self.type, "needs sequences of vectors (time, width)", x=spec)
        _, time, width = spec.shape
        context = time if self.context is None else self.context
        if time > context:
            raise ShapeError(self.type, f"{time} positions are more than its context of {context}", x=spec)
        if self.kind == "sinusoidal":
            return {}
        return {"weight": Param((context, width), self.initializer, context, width)}

    def apply(self, params: Params, *x: Value) -> Value:
        _, time, width = x[0].shape
        if self.kind == "sinusoidal":
            return x[0] + constant(sinusoids(time, width), x[0].dtype)
        return x[0] + slice_(params["weight"], 0, 0, time)

    @property
    def is_bounded(self) -> bool:
        return self.kind == "learned"

    def memory(self, *x: Spec, context: int) -> dict[str, Spec] | None:
        return {"position": Spec((1,), np.dtype(np.int64))}

    def advance(self, params: Params, memory: Params, *x: Value) -> tuple[Value, dict[str, Value]]:
        position, width = memory["position"], x[0].shape[2]
        if self.kind == "sinusoidal":
            rate, phase = (constant(array, x[0].dtype) for array in waves(width))
            row = sin(cast(position, x[0].dtype) * rate + phase)
        else:
            row = take_rows(params["weight"], position)
        return x[0] + row, {"position": position + 1.0}


def waves(width: int) -> tuple[Array, Array]:
    """Radians per position, and phases, of sines and cosines in turn, (width,) each; wavelengths 2 pi to 20000 pi."""
    place = np.arange(width)
    return 10_000.0 ** (-2 * (place // 2) / width), (place % 2) * (math.pi / 2)


def sinusoids(time: int, width: int) -> Array:
    """Sines and cosines of the first positions, (time, width)."""
    rate, phase = waves(width)
    return np.sin(np.arange(time)[:, None] * rate + phase)
