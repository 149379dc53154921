"""Cross entropy of one token at each position of a sequence."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from backprop_cli.autodiff import Array, Value, cast, constant, equal, maximum, softmax
from backprop_cli.autodiff import sum as sum_
from backprop_cli.errors import Problem
from backprop_cli.nn.loss import LOSSES, Loss, first_place
from backprop_cli.nn.losses._shared.softmax_cross_entropy import smoothed_entropy, softmax_cross_entropy
from backprop_cli.nn.task import NO_TOKEN, TOKENS, Task
from backprop_cli.nn.token_counts import token_ranks
from backprop_cli.settings import FractionBelowOne


@LOSSES.register
class NextToken(Loss):
    """``loss = sum(w * -sum_c q[c] * log(p[c])) / positions``, ``p = softmax(logits)``, in nats a position.

    ``q[c] = (1 - label_smoothing) * (c == label) + label_smoothing / tokens``. The sum is over the positions that
    count: those whose label is not ``ignore``. ``w`` is the example's weight if ``data.sample_weight`` is set, else 1.
    ``positions`` is the number of positions that count: in the batch, or in evaluation in the whole split. PyTorch's
    CrossEntropyLoss has an ``ignore_index`` of -100, and is NaN if no position counts; here the loss is then 0.

    Shapes: logits (batch, positions, tokens), labels (batch, positions) -> ()
    YAML:   {type: next_token, label_smoothing: 0.1}
    Source: Bengio et al., A Neural Probabilistic Language Model (2003), section 2; label smoothing: Szegedy et al.,
            Rethinking the Inception Architecture (2016), section 7.
    """

    type: Literal["next_token"] = "next_token"
    task: ClassVar[Task] = TOKENS
    applies: ClassVar[tuple[str, ...]] = ("softmax", "log_softmax")
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"label_smoothing": 0.2}, {"ignore": 1})
    label_smoothing: FractionBelowOne = 0.0
    """share of the target spread evenly over all tokens"""
    ignore: int = -1
    """label of positions that do not count; positions after the end of a text, -1, never count"""

    def costs(self, outputs: Value, targets: Value) -> Value:
        """Cross entropy of q and p; 0 at positions that do not count. Shapes: out (batch, positions)."""
        self.check(outputs, targets)
        cost = softmax_cross_entropy(outputs, targets, self.label_smoothing)
        return cost * self._counts(targets, outputs.dtype)

    def average(self, costs: Value, targets: Value) -> Value:
        return sum_(costs) / maximum(sum_(self._counts(targets, costs.dtype)), 1.0)

    def count(self, targets: Array) -> int:
        return int(np.count_nonzero((targets != self.ignore) & (targets != NO_TOKEN)))

    def _counts(self, targets: Value, dtype: np.dtype[Any]) -> Value:
        """1 at positions that count, else 0."""
        counts = 1.0 - cast(equal(targets, constant(NO_TOKEN, np.int64)), dtype)
        if self.ignore == NO_TOKEN:
            return counts
        return counts * (1.0 - cast(equal(targets, constant(self.ignore, np.int64)), dtype))

    def minimum(self, targets: Array, outputs: int) -> float:
        """The entropy of q."""
        return smoothed_entropy(outputs, self.label_smoothing)

    def activate(self, outputs: Value) -> Value:
        return softmax(outputs)

    def metric_inputs(self, outputs: Value, targets: Value) -> Value:
        return token_ranks(outputs, targets, self._counts(targets, outputs.dtype))

    def problem(self, targets: Array, outputs: int) -> Problem | None:
        place = first_place(((targets < 0) | (targets >= outputs)) & (targets != self.ignore))
        if place is None:
            return None
        reason = f"expected a token from 0 to {outputs - 1}, or {self.ignore} (ignored), got {targets[place]}"
        return Problem(place, reason, "give the network's last layer an output for each token")
