"""The contract of a metric: a number from the predictions of a whole split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.nn.loss import LABELLED, Loss, Task
from backprop_cli.nn.token_counts import TokenCounts
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Predictions and truth of a whole split.

    ``outputs`` (examples, outputs): probabilities for classes and binary targets, numbers in the target's own unit
    for regression. ``targets``: int64 labels (examples,) for classes; (examples, outputs) otherwise. Of tokens there
    are the counts alone: whole distributions would be a number for each token at each position. ``levels``: the
    quantiles that the outputs are of each target, side by side; empty: they are one number for each.
    """

    task: Task
    outputs: NDArray[np.floating]
    targets: NDArray[np.generic]
    tokens: TokenCounts | None = None
    levels: tuple[float, ...] = ()

    @classmethod
    def of_tokens(cls, counts: TokenCounts) -> Predictions:
        """What was counted of a whole split."""
        return cls("tokens", np.empty((0, counts.tokens)), np.empty(0, np.int64), counts)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Predicted label: the most probable class (the first of equals); for binary targets 1 where p >= 0.5."""
        found = np.argmax(self.outputs, axis=-1) if self.task in LABELLED else self.outputs >= 0.5
        return np.asarray(found, dtype=np.int64)

    @cached_property
    def numbers(self) -> Array:
        """One number a target, float64 (examples, targets): of several quantiles the one nearest the median."""
        outputs = self.outputs.astype(np.float64)
        if len(self.levels) < 2:
            return outputs
        nearest = int(np.argmin(np.abs(np.array(self.levels) - 0.5)))
        return outputs[:, nearest :: len(self.levels)]

    @cached_property
    def residuals(self) -> Array:
        """``numbers - targets`` in float64, whatever the training precision."""
        return self.numbers - self.targets.astype(np.float64)


class Metric(Settings):
    """A number computed over a whole split, not averaged over batches."""

    type: str
    """kind of metric"""

    samples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Settings that tests build beside those of the ``YAML:`` line."""
    tasks: ClassVar[tuple[Task, ...]]
    """The tasks it makes sense for; any other is a configuration error."""
    needs_probabilities: ClassVar[bool] = False
    """Whether scores of classes are not enough."""
    better: ClassVar[Literal["max", "min"]]
    """Which way is better, for `mode: auto`."""

    @classmethod
    def suits(cls, loss: Loss) -> bool:
        """Whether it says something of what a network trained with this loss predicts."""
        return loss.task in cls.tasks and (loss.gives_probabilities or not cls.needs_probabilities)

    def misfit(self, task: Task, outputs: int) -> str | None:
        """Why it says nothing about so many classes (binary targets: outputs), and the way out; None where it fits."""
        return None

    def compute(self, predictions: Predictions) -> float:
        """The metric over all examples."""
        raise NotImplementedError


METRICS: Registry[Metric] = Registry("metric", "metrics", "backprop_cli.nn.metrics", Metric)
MetricType = Annotated[Metric, Choice(METRICS)]


def better(monitor: str) -> Literal["max", "min"]:
    """Which way a monitored value (``validation/accuracy``) is better: as its metric says, down for any other."""
    name = monitor.rpartition("/")[2]
    return METRICS[name].better if name in METRICS else "min"
