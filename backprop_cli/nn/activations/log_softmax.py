"""Logits to log-probabilities."""

from __future__ import annotations

from typing import Literal

from backprop_cli import autodiff
from backprop_cli.autodiff import Value
from backprop_cli.nn.activation import ACTIVATIONS, Activation


@ACTIVATIONS.register
class LogSoftmax(Activation):
    """``out[..., j] = x[..., j] - log sum_k exp(x[..., k])`` over the last axis.

    ``softmax(out) = softmax(x)``, so cross_entropy after it is the same as without it.

    Shapes: x (batch, ..., classes) -> out as x
    YAML:   log_softmax
    """

    type: Literal["log_softmax"] = "log_softmax"

    def apply(self, x: Value) -> Value:
        return autodiff.log_softmax(x)
