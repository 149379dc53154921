"""The contract of a metric: a number from the predictions of a whole split."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.errors import Problem
from backprop_cli.nn.intervals import Intervals
from backprop_cli.nn.loss import Loss
from backprop_cli.nn.task import TOKENS, Task, task_of
from backprop_cli.nn.token_counts import TokenCounts
from backprop_cli.registry import Choice, Registry
from backprop_cli.settings import Settings
from backprop_cli.structs import Struct

Array = NDArray[np.float64]


class Predictions(Struct, eq=False):
    """Predictions and truth of a whole split.

    ``outputs`` (examples, outputs): probabilities for classes and binary targets, numbers in the target's own unit
    for regression. ``targets``: int64 labels (examples,) for classes; (examples, outputs) otherwise. For tokens only
    counts are kept: distributions would take a number for each token at each position. ``levels``: the quantiles
    that the outputs are of each target; empty: one output for each target. ``intervals``: what a calibrated network
    predicts with every example.
    """

    task: Task
    outputs: NDArray[np.floating]
    targets: NDArray[np.generic]
    tokens: TokenCounts | None = None
    levels: tuple[float, ...] = ()
    intervals: Intervals | None = None

    @classmethod
    def of_tokens(cls, counts: TokenCounts) -> Predictions:
        """The predictions of a whole split from its counts."""
        return cls(TOKENS, np.empty((0, counts.tokens)), np.empty(0, np.int64), counts)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Predicted labels: the most probable class (of equals the first); for binary targets 1 if p >= 0.5."""
        return self.task.predicted_labels(self.outputs)

    @cached_property
    def numbers(self) -> Array:
        """One number for each target, float64 (examples, targets): of several quantiles the one nearest 0.5."""
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
    """Settings that tests build, in addition to those of the ``YAML:`` line."""
    tasks: ClassVar[tuple[Task, ...]]
    """The tasks that it is defined for; any other is a configuration error. A plugin may write their names."""
    needs_probabilities: ClassVar[bool] = False
    """It is not defined for scores that are not probabilities."""
    needs_intervals: ClassVar[bool] = False
    """It is defined only for a network that predicts intervals: calibrated ones, or several quantiles."""
    better: ClassVar[Literal["max", "min"]]
    """Which way is better, for `mode: auto`."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "tasks" in vars(cls):
            cls.tasks = tuple(map(task_of, cls.tasks))

    @classmethod
    def suits(cls, loss: Loss) -> bool:
        """Whether it is defined for the predictions of a network that is trained with this loss."""
        return loss.task in cls.tasks and (loss.gives_probabilities or not cls.needs_probabilities)

    def problem(self, task: Task, outputs: int) -> Problem | None:
        """The reason the metric says nothing with this number of outputs, and the way out; None if it is useful."""
        return None

    def is_defined(self, predictions: Predictions) -> bool:
        """Whether it can be computed: intervals are fitted only after training."""
        return not self.needs_intervals or predictions.intervals is not None or len(predictions.levels) > 1

    def compute(self, predictions: Predictions) -> float:
        """The metric over all examples."""
        raise NotImplementedError


METRICS: Registry[Metric] = Registry("metric", "metrics", "backprop_cli.nn.metrics", Metric)
MetricType = Annotated[Metric, Choice(METRICS)]


def better(monitor: str) -> Literal["max", "min"]:
    """Which way a monitored value (``validation/accuracy``) is better: as its metric says, else smaller."""
    name = monitor.rpartition("/")[2]
    return METRICS[name].better if name in METRICS else "min"
