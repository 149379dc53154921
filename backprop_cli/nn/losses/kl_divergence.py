"""Kullback-Leibler divergence of given and predicted probabilities."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.autodiff import Array, Value, constant, greater, log, log_softmax, softmax, where
from backprop_cli.autodiff import sum as sum_
from backprop_cli.errors import Problem
from backprop_cli.nn.loss import LOSSES, Loss, first_place
from backprop_cli.nn.task import REGRESSION, Task

_TOLERANCE = 1e-3
"""Largest distance from 1 of a sum of given probabilities, which may be rounded to a few digits."""


@LOSSES.register
class KlDivergence(Loss):
    """``loss = mean(sum_c t[c] * (log(t[c]) - log(p[c])))`` over the batch, ``p = softmax(logits)``, in nats.

    The targets t of an example are probabilities that sum to 1, one in each column. A target of 0 costs nothing. The
    gradient is the one of cross entropy with soft targets. It is PyTorch's KLDivLoss with ``batchmean`` of log_softmax.

    Shapes: logits, targets (batch, outputs) -> ()
    YAML:   kl_divergence
    Raises: DataError for targets that are not probabilities.
    Source: Kullback & Leibler, On Information and Sufficiency (1951), equation 2.4.
    """

    type: Literal["kl_divergence"] = "kl_divergence"
    task: ClassVar[Task] = REGRESSION
    applies: ClassVar[tuple[str, ...]] = ("softmax", "log_softmax")
    keeps_unit: ClassVar[bool] = True
    least_outputs: ClassVar[int] = 2

    def costs(self, outputs: Value, targets: Value) -> Value:
        self.check(outputs, targets)
        there = where(greater(targets, constant(0.0, targets.dtype)), targets, constant(1.0, targets.dtype))
        return sum_(targets * (log(there) - log_softmax(outputs, 1)), 1)

    def activate(self, outputs: Value) -> Value:
        return softmax(outputs)

    def problem(self, targets: Array, outputs: int) -> Problem | None:
        place = first_place(targets < 0)
        if place is not None:
            return Problem(place, f"expected a probability from 0 to 1, got {targets[place]:.6g}")
        sums = targets.sum(axis=1, dtype=np.float64)
        row = first_place(np.abs(sums - 1.0) > _TOLERANCE)
        if row is not None:
            return Problem(row, f"expected probabilities that sum to 1, got a sum of {sums[row]:.6g}")
        return None

    def draw(self, rng: np.random.Generator, outputs: tuple[int, ...]) -> Array:
        """Probabilities above 0: at 0 the derivative with respect to the target is infinite."""
        shares = 0.1 + rng.random(outputs)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))
