"""Outputs within the range of the targets."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.autodiff import Array, Spec, Value, maximum, minimum
from backprop_cli.nn.layer import LAYERS, Arrays, Buffer, Layer, Params, Sample


@LAYERS.register
class Clamp(Layer):
    """``out = min(max(x, low), high)`` in evaluation and prediction, otherwise ``out = x``.

    ``low`` and ``high`` are the range of the train split's targets, as the loss sees them. As the last layer of a
    regression it keeps predictions from running away where rows are unlike those of training. If there are not as
    many targets as outputs, it changes nothing.

    Shapes: x (batch, outputs) -> out as x; low, high (outputs,)
    YAML:   clamp
    Source: Holzmueller, Grinsztajn & Steinwart, Better by Default (2024), section 3.
    """

    type: Literal["clamp"] = "clamp"

    position_wise: ClassVar[bool] = True
    samples: ClassVar[tuple[Sample, ...]] = (Sample({}, ((3,),)),)

    def buffers(self, *x: Spec) -> dict[str, Buffer]:
        limit = float(np.finfo(np.float32).max)
        return {"low": Buffer(x[0].shape[1:], -limit), "high": Buffer(x[0].shape[1:], limit)}

    def fit(self, rng: np.random.Generator, params: Arrays, targets: Array, *x: Array) -> dict[str, Array]:
        if targets.dtype.kind != "f" or targets.shape[1:] != params["low"].shape:
            return {}
        return {"low": targets.min(axis=0), "high": targets.max(axis=0)}

    def apply(self, params: Params, *x: Value) -> Value:
        return minimum(maximum(x[0], params["low"]), params["high"]) if "low" in params else x[0]
