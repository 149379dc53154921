"""Types of your own: an op with its derivative, an activation and a layer made of ops, and a loss.

A configuration names this file under ``plugins``. The line above a class registers it under its ``type`` (an op under
its class name), and its fields are its keys in YAML. Only ops have derivatives: everything else is written in ops, and
its gradient follows. Before anything runs, every gradient here is checked at the ``samples``.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.plugin import (
    ACTIVATIONS,
    INITIALIZERS,
    LAYERS,
    LOSSES,
    OPS,
    Activation,
    Array,
    Elementwise,
    InitializerType,
    Layer,
    Loss,
    Param,
    Params,
    Sample,
    Spec,
    Value,
    ad,
    sample,
)


@OPS.register
class SquaredSine(Elementwise):
    """``out = sin(x)^2``."""

    expression: ClassVar = "sin({0}) * sin({0})"
    samples: ClassVar = (sample((3, 4)), sample(()))

    def eval(self, x: Array, *, out: Array) -> None:
        """Two passes, nothing allocated."""
        np.sin(x, out=out)
        np.multiply(out, out, out=out)

    def partials(self, x: Value, *, out: Value) -> tuple[Value]:
        """``2 sin(x) cos(x) = sin(2 x)``."""
        return (ad.sin(2.0 * x),)


@ACTIVATIONS.register
class Snake(Activation):
    """``out = x + sin(x)^2``: rises like the identity, with periodic waves.

    Shapes: x any -> out as x
    YAML:   snake
    Source: Ziyin, Hartwig & Ueda, Neural Networks Fail to Learn Periodic Functions and How to Fix It (2020), a = 1.
    """

    type: Literal["snake"] = "snake"

    def apply(self, x: Value) -> Value:
        """``x + sin(x)^2``."""
        return x + SquaredSine()(x)


@LAYERS.register
class FeatureScale(Layer):
    """``out = weight * x``: a learned scale for each feature.

    Shapes: x (batch, features) -> out as x; weight (features,)
    YAML:   {type: feature_scale, initializer: ones}
    """

    type: Literal["feature_scale"] = "feature_scale"
    initializer: InitializerType = INITIALIZERS["ones"]()
    """initial values of the scales"""

    samples: ClassVar[tuple[Sample, ...]] = (Sample({}, ((3,),)), Sample({"initializer": "zeros"}, ((1,),)))

    def params(self, *x: Spec) -> dict[str, Param]:
        """One scale per feature; penalties on weights leave it out."""
        return {"weight": Param(x[0].shape[1:], self.initializer, regularized=False)}

    def apply(self, params: Params, *x: Value) -> Value:
        """``weight * x``."""
        return params["weight"] * x[0]


@LOSSES.register
class LogCosh(Loss):
    """``loss = mean(log(cosh(outputs - targets)))``: squared near 0, absolute far away, smooth everywhere.

    The mean is over batch and outputs.

    Shapes: outputs, targets (batch, outputs) -> ()
    YAML:   log_cosh
    """

    type: Literal["log_cosh"] = "log_cosh"
    task: ClassVar = "regression"

    def costs(self, outputs: Value, targets: Value) -> Value:
        """``r + log(1 + e^(-2 r)) - log 2``, which never overflows."""
        self.check(outputs, targets)
        residual = outputs - targets
        return residual + ad.softplus(-2.0 * residual) - float(np.log(2.0))
