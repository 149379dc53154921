"""Exponential of the mean cross entropy of tokens."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.nn.metric import METRICS, Metric, Predictions
from backprop_cli.nn.task import TOKENS, Task


@METRICS.register
class Perplexity(Metric):
    """``perplexity = exp(mean(-log(p[label])))`` over the positions that count; without label smoothing ``exp(loss)``.

    The number of equally probable tokens with the same uncertainty: 1 is perfect, the number of tokens is a guess.

    YAML:   perplexity
    Source: Jelinek et al., Perplexity: a measure of the difficulty of speech recognition tasks (1977).
    """

    type: Literal["perplexity"] = "perplexity"
    tasks: ClassVar[tuple[Task, ...]] = (TOKENS,)
    better: ClassVar[Literal["max", "min"]] = "min"

    def compute(self, predictions: Predictions) -> float:
        assert predictions.tokens is not None
        with np.errstate(over="ignore"):
            return float(np.exp(np.float64(predictions.tokens.nats)))
