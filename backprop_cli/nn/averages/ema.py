"""The exponential moving average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from backprop_cli.nn.average import AVERAGES, Average, StepEnd
from backprop_cli.settings import FREE, FractionBelowOne, PositiveInt


@AVERAGES.register
class Ema(Average):
    """The mean of the parameters after each step, weighted by ``decay^(steps since)``.

    ``share = (1 - decay) / (1 - decay^n)`` at the n-th step, so the starting weights do not count. Without
    bias_correction it is 1 at the first step and ``1 - decay`` afterwards, as in torch.optim.swa_utils. Running
    statistics of batch_norm are averaged with the same shares.

    YAML:   {type: ema, decay: 0.99}
    Source: Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging (1992); with decay and correction:
            Kingma & Ba, Adam (2015), section 7.2.
    """

    type: Literal["ema"] = "ema"
    decay: Annotated[FractionBelowOne, FREE] = 0.999
    """share of the average kept at a step; about 1 / (1 - decay) steps count"""
    every: PositiveInt = 1
    """steps from one update of the average to the next"""
    bias_correction: bool = True
    """whether the weights sum to 1 from the first step on"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"decay": 0.6},
        {"decay": 0.6, "every": 2, "bias_correction": False},
    )

    def share(self, at: StepEnd) -> float | None:
        count = at.step // self.every
        if count == 0:
            return None
        if at.step % self.every:
            return 0.0
        if self.bias_correction:
            return (1.0 - self.decay) / (1.0 - self.decay**count)
        return 1.0 if count == 1 else 1.0 - self.decay

    def formula(self, history: Sequence[tuple[StepEnd, float]]) -> float:
        """Section 7.2: the weighted mean; uncorrected, the first step has the rest of the weight."""
        due = [x for at, x in history if at.step % self.every == 0]
        if not due:
            return history[-1][1]
        weights = [self.decay ** (len(due) - 1 - i) for i in range(len(due))]
        if self.bias_correction:
            return sum(w * x for w, x in zip(weights, due, strict=True)) / sum(weights)
        rest = weights[0] * due[0]
        return rest + sum((1 - self.decay) * w * x for w, x in zip(weights[1:], due[1:], strict=True))
