"""The contract of a metric: a number from the predictions of a whole split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.nn.loss import Task
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings


@dataclass(frozen=True)
class Predictions:
    """Predictions and truth of a whole split.

    ``outputs`` (examples, outputs): probabilities for classes and binary targets, numbers in the target's own unit
    for regression. ``targets``: int64 labels (examples,) for classes; (examples, outputs) otherwise.
    """

    task: Task
    outputs: NDArray[np.floating]
    targets: NDArray[np.generic]

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Predicted label: the most probable class (the first of equals); for binary targets 1 where p >= 0.5."""
        if self.task == "classes":
            return np.argmax(self.outputs, axis=-1)
        return (self.outputs >= 0.5).astype(np.int64)


class Metric(Settings):
    """A number computed over a whole split, not averaged over batches."""

    type: str
    """kind of metric"""

    tasks: ClassVar[tuple[Task, ...]]
    """The tasks it makes sense for; any other is a configuration error."""
    better: ClassVar[Literal["max", "min"]]
    """Which way is better, for `mode: auto`."""

    def compute(self, predictions: Predictions) -> float:
        """The metric over all examples."""
        raise NotImplementedError


METRICS: Registry[Metric] = Registry("metric", "metrics", "backprop_cli.nn.metrics")
MetricType = Annotated[Metric, Choice(METRICS)]
