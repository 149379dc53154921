"""Cross entropy in bits per token."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import TOKENS, Task


@METRICS.register
class BitsPerToken(Metric):
    """``bits_per_token = mean(-log2(p[label]))`` over the positions that count; per character if tokens are.

    YAML:   bits_per_token
    Source: Shannon, Prediction and Entropy of Printed English (1951).
    """

    type: Literal["bits_per_token"] = "bits_per_token"
    tasks: ClassVar[tuple[Task, ...]] = (TOKENS,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        assert predictions.tokens is not None
        return predictions.tokens.nats / math.log(2.0)
