"""Logits to probabilities."""

from __future__ import annotations

from typing import Literal

from backprop_cli.autodiff import Value, fused_softmax
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class Softmax(Activation):
    """``out[..., j] = exp(x[..., j]) / sum_k exp(x[..., k])`` over the last axis.

    Losses on logits, such as cross_entropy, apply it themselves: do not put it before one.

    Shapes: x (batch, ..., classes) -> out as x, last axis summing to 1
    YAML:   softmax
    """

    type: Literal["softmax"] = "softmax"

    def apply(self, x: Value) -> Value:
        return fused_softmax(x)
