"""A spec of training: what to train, on what, and how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.nn.average import StepEnd
from backprop_cli.nn.metric import Metric
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.nn.schedule import Schedule
from backprop_cli.training.evaluation import Examples, Untransform, identity
from backprop_cli.training.monitor import Monitor
from backprop_cli.training.settings import TrainingSettings
from backprop_cli.training.state import SHUFFLE
from backprop_cli.training.step_program import Recipe

Augment = Callable[[Array, np.random.Generator], None]
"""Changes the inputs of a training batch in place, as the random numbers say."""


@dataclass(frozen=True)
class TrainingSpec:
    """What to train, on what, and how long."""

    recipe: Recipe
    settings: TrainingSettings
    schedule: Schedule
    seed: int
    train: Examples
    validation: Examples | None = None
    metrics: Sequence[Metric] = ()
    untransform: Untransform = identity
    best: Monitor | None = None
    early_stopping: Monitor | None = None
    augment: Augment | None = None
    blas_threads: int = 1  # threads of each matrix product
    workers: int = 1  # threads that compute a shard of each batch
    compiled: bool = False  # machine code of the steps on whole batches, of which there are many

    @cached_property
    def batches(self) -> int:
        """Batches an epoch, the last one possibly smaller."""
        return -(-len(self.train.inputs) // self.settings.batch_size)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Updates an epoch; an epoch's last update may have fewer batches."""
        return -(-self.batches // self.settings.accumulate)

    @cached_property
    def total_steps(self) -> int:
        """Updates until the end, if nothing stops it before."""
        planned = self.settings.epochs * self.steps_per_epoch
        return planned if self.settings.max_steps is None else min(planned, self.settings.max_steps)

    @property
    def last_step_end(self) -> StepEnd:
        """The last update, if nothing stops it before."""
        epoch, rest = divmod(self.total_steps, self.steps_per_epoch)
        return StepEnd(self.total_steps, epoch + (rest > 0), ends_epoch=rest == 0)

    def order(self, epoch: int) -> Array:
        """The examples of an epoch in the order they are seen: it follows from seed and epoch alone."""
        shuffle = self.settings.shuffle and not isinstance(self.recipe.optimizer, FullBatch)  # sums in one order
        return order_of(self.seed, epoch, len(self.train.inputs), shuffle)


def order_of(seed: int, epoch: int, count: int, shuffle: bool) -> Array:
    """The order in which an epoch sees ``count`` examples."""
    if not shuffle:
        return np.arange(count)
    return np.random.default_rng([seed, SHUFFLE, epoch]).permutation(count)
