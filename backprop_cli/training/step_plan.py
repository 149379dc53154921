"""Plans of training steps: one plan, or one for each worker's shard of the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backprop_cli.autodiff import Array, Program
from backprop_cli.execution.plan import Plan
from backprop_cli.nn.loss import Loss
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.step_program import (
    INPUTS,
    SHARE,
    TARGETS,
    WEIGHTS,
    Recipe,
    accumulation_step,
    join_step,
    shard_name,
    shard_step,
    training_step,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor


class StepPlan(NamedTuple):
    """The interface of a ``Plan``, for one plan or several.

    ``noise``: inputs for random numbers in [0, 1). ``constants``: the vector of all inputs for the constants of a step,
    in the order of ``Recipe.constants``. ``only_call``: see ``Plan``.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    noise: Sequence[Array]
    constants: Array
    run: Callable[[], None]
    only_call: Callable[[], object] | None = None


class StepPlans(NamedTuple):
    """Makes the plans of a recipe's steps, which share ``vectors``.

    ``workers``: each of these threads computes loss and gradient of a shard of the batch with its own plan; one more
    plan joins the shards and updates the states. NumPy and BLAS release Python's lock meanwhile. The last bits of sums
    differ from those of the whole batch, and repeat. The examples of the network must be independent of each other.
    ``predictions``: see ``training_step``. Compiled, a step is one plan, and ``loop_threads`` share its large loops.
    """

    recipe: Recipe
    vectors: Mapping[str, Array]
    watch: Stopwatch
    workers: int = 1
    loop_threads: int = 1
    predictions: bool = False

    def make(self, batch: int, updates: bool = True, compiled: bool = False) -> StepPlan:
        """The plan for ``batch`` examples; without ``updates`` it only accumulates the gradient."""
        if 1 < self.workers <= batch and not compiled:
            return self._split(batch, updates)
        step = training_step if updates else accumulation_step
        constants, numbers = self._constants()
        plan = self._planned(partial(step, self.recipe, batch, self.predictions), numbers, compiled)
        return StepPlan(plan.inputs, plan.outputs, self._noise([plan]), constants, plan.run, plan.only_call)

    def _split(self, batch: int, updates: bool) -> StepPlan:
        whole, shards = self._whole(batch), []
        constants, numbers = self._constants()
        trace = cache(lambda size: shard_step(self.recipe, size, self.predictions))
        for rows in np.array_split(np.arange(batch), self.workers):
            seen = {name: array[rows[0] : rows[-1] + 1] for name, array in whole.items()}
            shards.append(self._planned(partial(trace, len(rows)), {**numbers, **seen}))
        found = {shard_name(name, k): array for k, shard in enumerate(shards) for name, array in shard.outputs.items()}
        programs = [shard.program for shard in shards]
        join = self._planned(partial(join_step, self.recipe, programs, updates), {**found, **numbers})
        shares = [join.inputs[shard_name(SHARE, k)] for k in range(self.workers)]
        run = partial(_run, _threads(self.workers - 1), shards, partial(_share, self.recipe.loss, shards, shares), join)
        return StepPlan({**join.inputs, **whole}, join.outputs, self._noise(shards), constants, run)

    def _planned(self, trace: Callable[[], Program], arrays: Mapping[str, Array], compiled: bool = False) -> Plan:
        with self.watch("trace"):
            program = trace()
        with self.watch("plan"):
            return Plan(program, {**self.vectors, **arrays}, compiled=compiled, threads=self.loop_threads)

    def _constants(self) -> tuple[Array, dict[str, Array]]:
        """A new vector for the constants of a step, and each of them as a number in it."""
        names = self.recipe.constants
        vector = np.zeros(len(names), self.recipe.model.dtype)
        return vector, {name: vector[place : place + 1].reshape(()) for place, name in enumerate(names)}

    def _noise(self, plans: Sequence[Plan]) -> list[Array]:
        names = self.recipe.model.noise(1)
        return [plan.inputs[name] for plan in plans for name in names]

    def _whole(self, batch: int) -> dict[str, Array]:
        recipe, model = self.recipe, self.recipe.model
        inputs = {
            INPUTS: np.zeros((batch, *model.input_shape), model.input_dtype),
            TARGETS: np.zeros(recipe.target_shape(batch), recipe.target_dtype),
        }
        return {**inputs, WEIGHTS: np.zeros(batch, model.dtype)} if recipe.weighted else inputs


@cache
def _threads(count: int) -> Executor:
    # Imported here: it takes a start 10 ms.
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(count, "shard of a batch", partial(np.seterr, all="ignore"))


def _share(loss: Loss, shards: Sequence[Plan], shares: Sequence[Array]) -> None:
    """Set each shard's share of the costs in the mean."""
    counts = [loss.count(shard.inputs[TARGETS]) for shard in shards]
    whole = max(sum(counts), 1)
    for share, count in zip(shares, counts, strict=True):
        share[()] = count / whole


def _run(threads: Executor, shards: Sequence[Plan], share: Callable[[], None], join: Plan) -> None:
    first, *others = shards
    running = [threads.submit(shard.run) for shard in others]
    try:
        first.run()
    finally:  # an exception leaves no thread that still writes buffers
        for shard in running:
            shard.result()
    share()
    join.run()
