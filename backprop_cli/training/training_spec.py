"""A spec of training: what to train, on what, and how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.nn.average import StepEnd
from backprop_cli.nn.metric import Metric
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.nn.schedule import Schedule
from backprop_cli.structs import Struct
from backprop_cli.training.evaluation import Examples, Untransform, identity
from backprop_cli.training.monitor import Monitor
from backprop_cli.training.settings import TrainingSettings
from backprop_cli.training.state import SHUFFLE
from backprop_cli.training.step_program import Recipe

Augment = Callable[[Array, int, int], None]
"""Changes the inputs of a training batch in place at random.

The epoch, and the batch's position in it, decide how: a resumed run sees the same inputs, and dropout's draws stay.
"""


During = Callable[[int, Array], AbstractContextManager[None]]
"""Changes the train inputs at random for an epoch, given its number and its order of examples."""


def unchanged(epoch: int, order: Array) -> AbstractContextManager[None]:
    """The inputs as they are."""
    return nullcontext()


class TrainingSpec(Struct, eq=False):
    """The recipe to train, the examples to train it on, and how long."""

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
    during: During = unchanged
    blas_threads: int = 1  # threads of each matrix product
    workers: int = 1  # threads that compute a shard of each batch
    loop_threads: int = 1  # threads that share the large loops of compiled steps
    compiled: bool = False  # whether steps on whole batches run as machine code

    @cached_property
    def batches(self) -> int:
        """Batches an epoch; the last may be smaller."""
        return -(-len(self.train.inputs) // self.settings.batch_size)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Updates an epoch; the last may have fewer batches."""
        return -(-self.batches // self.settings.accumulate)

    @cached_property
    def total_steps(self) -> int:
        """Planned number of updates."""
        planned = self.settings.epochs * self.steps_per_epoch
        return planned if self.settings.max_steps is None else min(planned, self.settings.max_steps)

    @property
    def last_step_end(self) -> StepEnd:
        """The end of the last planned update."""
        epoch, rest = divmod(self.total_steps, self.steps_per_epoch)
        return StepEnd(self.total_steps, epoch + (rest > 0), ends_epoch=rest == 0)

    def order(self, epoch: int) -> Array:
        """The order of the examples in an epoch; only seed and epoch decide it."""
        shuffle = self.settings.shuffle and not isinstance(self.recipe.optimizer, FullBatch)  # one order of the sums
        return order_of(self.seed, epoch, len(self.train.inputs), shuffle)


def order_of(seed: int, epoch: int, count: int, shuffle: bool) -> Array:
    """The order of ``count`` examples in an epoch."""
    if not shuffle:
        return np.arange(count)
    return np.random.default_rng([seed, SHUFFLE, epoch]).permutation(count)
