"""Quantile regression."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field

from backprop_cli.autodiff import Value, constant, maximum, reshape
from backprop_cli.errors import ShapeError, plural
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.task import REGRESSION, Task
from backprop_cli.settings import Many, refusal

Level = Annotated[float, Field(gt=0, lt=1)]


def _rising(levels: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(levels)):
        reason = f"must rise, each quantile once, got {', '.join(f'{level:g}' for level in levels)}"
        raise refusal(reason)
    return levels


@LOSSES.register
class Quantile(Loss):
    """``loss = mean(max(q * r, (q - 1) * r))``, ``r = targets - outputs``: the pinball loss of the quantile q.

    It is smallest when a share q of the targets is below the outputs; at q = 0.5 it is half the mean absolute error.
    For a list of quantiles each target column has one output for each quantile. With two targets and ``[0.1, 0.9]``
    the outputs are target 1 at 0.1 and 0.9, then target 2 at 0.1 and 0.9; the mean is over all. Metrics that need one
    number for a target use the quantile nearest 0.5. The derivative at a residual of 0 is ``1/2 - q``.

    Shapes: outputs (batch, targets * quantiles), targets (batch, targets) -> ()
    YAML:   {type: quantile, quantile: [0.1, 0.5, 0.9]}
    Source: Koenker & Bassett, Regression Quantiles (1978), section 3; as scikit-learn's mean_pinball_loss.
    """

    type: Literal["quantile"] = "quantile"
    task: ClassVar[Task] = REGRESSION
    standardizes: ClassVar[bool] = True
    samples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"quantile": 0.9}, {"quantile": [0.1, 0.5, 0.9]})
    quantile: Level | Annotated[Many[Level], Field(min_length=1), AfterValidator(_rising)] = 0.5
    """the share of targets below the prediction, or a rising list of such shares"""

    @property
    def levels(self) -> tuple[float, ...]:
        return self.quantile if isinstance(self.quantile, tuple) else (self.quantile,)

    def costs(self, outputs: Value, targets: Value) -> Value:
        count = len(self.levels)
        if outputs.ndim != 2 or targets.ndim != 2 or outputs.shape != (targets.shape[0], targets.shape[1] * count):
            reason = f"needs targets (batch, targets) and {plural(count, 'output')} for each of them"
            raise ShapeError(f"loss {self.type}", reason, outputs=outputs.shape, targets=targets.shape)
        residual = reshape(targets, (*targets.shape, 1)) - reshape(outputs, (*targets.shape, count))
        levels = np.array(self.levels)
        cost = maximum(residual * constant(levels, outputs.dtype), residual * constant(levels - 1.0, outputs.dtype))
        return reshape(cost, outputs.shape)
