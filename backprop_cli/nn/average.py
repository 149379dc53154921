"""The contract of an average: how much the newest parameters count in it."""

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

    The average is what is evaluated, compared and kept; training goes on from the parameters as they are. Buffers
    (running statistics of batch_norm) are averaged as the parameters are: they are those of the networks averaged over,
    which costs no pass over the data, and differ a little from those of the averaged network.
    """

    type: str
    """kind of average"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that tests build beside those of the ``YAML:`` line."""

    def share(self, at: StepEnd) -> float | None:
        """What the parameters count; 0: the average stays. None: it has not begun, and is the parameters."""
        raise NotImplementedError

    def formula(self, history: Sequence[tuple[StepEnd, float]]) -> float:
        """The average of one parameter after these updates, from its definition; ``bp gradcheck`` compares the two."""
        raise NotImplementedError


AVERAGES: Registry[Average] = Registry("average", "averages", "backprop_cli.nn.averages", Average)
AverageType = Annotated[Average, Choice(AVERAGES)]
