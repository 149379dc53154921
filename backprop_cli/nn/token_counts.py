"""Sums over positions from which metrics of tokens are computed; sums of batches add up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Array, Value, concat, constant, equal, greater, less, logsumexp, one_hot, reshape
from backprop_cli.autodiff import sum as sum_


def token_ranks(logits: Value, labels: Value, counts: Value) -> Value:
    """For each position ``-log(p[label])`` in nats, and the rank of the label among the tokens.

    The rank is the number of tokens that are more probable, or as probable and earlier; -1 at positions that do not
    count.

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
    """Sums over the positions that count.

    ``sums`` (1 + tokens,): nats of the labels, then the numbers of labels of rank 0, 1, ...; given to resume counting.
    """

    def __init__(self, tokens: int, sums: NDArray[np.float64] | None = None):
        self.tokens = tokens
        self.sums = np.zeros(1 + tokens) if sums is None else sums

    def add(self, ranks: Array) -> None:
        """Add the ``token_ranks`` of a batch. Shapes: ranks (batch, positions, 2)."""
        before = ranks[..., 1].astype(np.int64).ravel() + 1
        self.sums[1:] += np.bincount(before, minlength=1 + self.tokens)[1:]
        self.sums[0] += ranks[..., 0].sum(dtype=np.float64)

    @property
    def positions(self) -> float:
        """Number of positions that counted."""
        return float(self.sums[1:].sum())

    @property
    def nats(self) -> float:
        """Mean of ``-log(p[label])`` over them; NaN if no position counted."""
        return float(self.sums[0]) / self.positions if self.positions else float("nan")

    def within(self, first: int) -> float:
        """The share of labels among the ``first`` most probable tokens; NaN if no position counted."""
        return float(self.sums[1 : 1 + first].sum()) / self.positions if self.positions else float("nan")
