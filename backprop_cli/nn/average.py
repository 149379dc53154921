"""The contract of an average over training: the weight of the newest parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NamedTuple

from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings


class StepEnd(NamedTuple):
    """The end of a training step: its number and epoch, both from 1, and whether the epoch ends with it."""

    step: int
    epoch: int
    ends_epoch: bool


class Average(Settings):
    """``average <- average + share * (parameters - average)`` after each update.

    Evaluation, early stopping and checkpoints use the average; training continues from the parameters themselves.
    Buffers (running statistics of batch_norm) are averaged with the same shares. That costs no pass over the data, and
    differs a little from the statistics of the averaged network.
    """

    type: str
    """kind of average"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that tests build, in addition to those of the ``YAML:`` line."""

    def share(self, at: StepEnd) -> float | None:
        """Weight of the parameters; 0: the average stays. None: averaging has not begun, the parameters are used."""
        raise NotImplementedError

    def formula(self, history: Sequence[tuple[StepEnd, float]]) -> float:
        """The average of one parameter by definition, which ``bp gradcheck`` compares with ``share``."""
        raise NotImplementedError


AVERAGES: Registry[Average] = Registry("average", "averages", "backprop_cli.nn.averages", Average)
AverageType = Annotated[Average, Choice(AVERAGES)]
