"""What metrics of tokens are made of: sums over positions, which add up over batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Array, Value, concat, constant, equal, greater, less, logsumexp, one_hot, reshape
from backprop_cli.autodiff import sum as sum_


def token_evidence(logits: Value, labels: Value, counts: Value) -> Value:
    """For each position ``-log(p[label])`` in nats, and how many tokens are before the label: those more probable, and
    of equals the first; -1 where the position does not count.

    Shapes: logits (batch, positions, tokens), labels (batch, positions), counts (batch, positions) 0 or 1
            -> (batch, positions, 2)
    """
    tokens, dtype = logits.shape[-1], logits.dtype
    chosen, numbers = one_hot(labels, tokens, dtype), constant(np.arange(tokens), dtype)
    own, place = (sum_(chosen * of, -1, keepdims=True) for of in (logits, numbers))
    before = sum_(greater(logits, own) + equal(logits, own) * less(numbers, place), -1)
    nats = logsumexp(logits) - reshape(own, labels.shape)
    pair = [reshape(part, (*labels.shape, 1)) for part in (nats * counts, (before + 1.0) * counts - 1.0)]
    return concat(pair, -1)


class TokenCounts:
    """Sums over the positions that count, so far.

    ``sums`` (1 + tokens,): nats of the labels, then how many labels had 0, 1, ... tokens before them. It is given where
    counting goes on.
    """

    def __init__(self, tokens: int, sums: NDArray[np.float64] | None = None):
        self.tokens = tokens
        self.sums = np.zeros(1 + tokens) if sums is None else sums

    def add(self, evidence: Array) -> None:
        """Another batch's ``token_evidence``. Shapes: (batch, positions, 2)."""
        before = evidence[..., 1].astype(np.int64).ravel() + 1
        self.sums[1:] += np.bincount(before, minlength=1 + self.tokens)[1:]
        self.sums[0] += evidence[..., 0].sum(dtype=np.float64)

    @property
    def positions(self) -> float:
        """How many positions counted."""
        return float(self.sums[1:].sum())

    @property
    def nats(self) -> float:
        """Mean of ``-log(p[label])`` over them; NaN where there are none."""
        return float(self.sums[0]) / self.positions if self.positions else float("nan")

    def within(self, first: int) -> float:
        """The share of labels that are among the ``first`` most probable tokens; NaN where there are none."""
        return float(self.sums[1 : 1 + first].sum()) / self.positions if self.positions else float("nan")
