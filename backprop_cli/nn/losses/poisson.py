"""Poisson regression: the network predicts the logarithm of a rate."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from backprop_cli.autodiff import Array, Value, exp
from backprop_cli.errors import Problem
from backprop_cli.nn.loss import LOSSES, Loss, first_place
from backprop_cli.nn.task import REGRESSION, Task


@LOSSES.register
class Poisson(Loss):
    """``loss = mean(exp(x) - t * x)`` over batch and outputs, in nats; the output x is the logarithm of the rate.

    It is the negative log-likelihood of the count t at the rate ``exp(x)``, without the constant ``log(t!)``, and may
    be negative. It is PyTorch's PoissonNLLLoss with ``log_input``. Predictions are the rates.

    Shapes: log-rates, targets (batch, outputs) -> ()
    YAML:   poisson
    Raises: DataError for targets below 0.
    Source: Nelder & Wedderburn, Generalized Linear Models (1972), section 1.1; the logarithm as link.
    """

    type: Literal["poisson"] = "poisson"
    task: ClassVar[Task] = REGRESSION
    keeps_unit: ClassVar[bool] = True

    def costs(self, outputs: Value, targets: Value) -> Value:
        self.check(outputs, targets)
        return exp(outputs) - targets * outputs

    def activate(self, outputs: Value) -> Value:
        return exp(outputs)

    def minimum(self, targets: Array, outputs: int) -> float:
        """``mean(t - t * log(t))``, at rates equal to the counts; may be negative."""
        counts = targets.astype(np.float64)
        return float(np.mean(counts - counts * np.log(np.where(counts > 0, counts, 1.0))))

    def problem(self, targets: Array, outputs: int) -> Problem | None:
        place = first_place(targets < 0)
        if place is None:
            return None
        return Problem(place, f"expected a count of at least 0, got {targets[place]:.6g}")

    def draw(self, rng: np.random.Generator, outputs: tuple[int, ...]) -> Array:
        return rng.poisson(2.0, outputs).astype(np.float64)
