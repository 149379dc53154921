"""Steps on batches of one size: on NumPy one by one, as machine code many in one call.

On a small network a step takes a few microseconds, as long as ten lines of Python. Therefore loops over steps use local
names only, and store their results once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.nn.average import StepEnd
from backprop_cli.training.running_epoch import RunningEpoch
from backprop_cli.training.state import State
from backprop_cli.training.step_plan import StepPlan
from backprop_cli.training.step_program import (
    GRADIENT_NORM,
    INPUTS,
    LOSS,
    PREDICTIONS,
    REGULARIZATION,
    TARGETS,
    WEIGHTS,
)
from backprop_cli.training.training_spec import TrainingSpec

if TYPE_CHECKING:
    from backprop_cli.execution.repetition import Repetition, Rows


class Block:
    """Steps on one batch of an epoch after the other, and their results so far.

    At most ``steps`` steps follow step ``step``; their batches begin at ``position`` of the epoch's order, and
    ``constants`` are a row for each. They end with the first one whose numbers are not finite, or that ends after
    ``deadline``.

    ``done``: steps that are done. ``sums``: the epoch's sums of loss (over ``counted`` costs), penalty and gradient
    norm. ``last``: the same numbers of the last step, whose loss is the sum of ``costs`` costs.
    """

    def __init__(self, epoch: RunningEpoch, step: int, position: int, constants: Rows, steps: int, deadline: float):
        self.epoch, self.step, self.position = epoch, step, position
        self.constants, self.steps, self.deadline = constants, steps, deadline
        self.done = self.counted = self.costs = 0
        totals = epoch.totals
        self.sums: Sequence[float] = (totals["loss"], totals["penalty"], totals["norm"])
        self.last: Sequence[float] = (0.0, 0.0, 0.0)


class BatchStep:
    """A step plan for one batch size, and the examples to run it on.

    ``run(index, start)`` gathers the examples ``index``, which begin at position ``start`` of the epoch's order, and
    runs the plan with what ``constants`` has. ``run_all(block)`` runs the steps of a block and sets its results, also
    if an exception ends it. ``follow``: to call after each step.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        state: State,
        batch: int,
        plan: StepPlan,
        follow: Callable[[StepEnd], None] | None = None,
    ):
        self.batch, self.inputs, self.outputs = batch, plan.inputs, plan.outputs
        self.predictions = self.outputs.get(PREDICTIONS)
        self.constants, self._follow = plan.constants, follow
        loss = spec.recipe.loss
        # Only tokens have another number of costs than examples; counting takes as long as a small NumPy call.
        self._count = partial(loss.count, self.inputs[TARGETS]) if loss.task.has_positions else None
        self._penalty = self.outputs[REGULARIZATION] if spec.recipe.penalties else None
        self._weights = self._weight_of_examples(spec)
        self.run = self._runner(spec, state, plan)
        repetition = self._repetition(spec, plan)
        self.run_all = self._run_each if repetition is None else partial(self._run_in_one_call, repetition)

    def _weight_of_examples(self, spec: TrainingSpec) -> Array | None:
        """The weights to gather into the plan's input; None if all are 1 or the plan has none."""
        if not spec.recipe.weighted:
            return None
        into = self.inputs[WEIGHTS]
        if spec.train.weights is None:
            into[...] = 1.0
            return None
        return spec.train.weights.astype(into.dtype)

    def _runner(self, spec: TrainingSpec, state: State, plan: StepPlan) -> Callable[[Array, int], None]:
        # With "clip" NumPy writes into `out` directly; the indexes are in range by construction. The method with
        # positional arguments takes 0.2 us for a small batch, np.take 0.8 us.
        take_inputs, inputs = spec.train.inputs.take, self.inputs[INPUTS]
        take_targets, targets = spec.train.targets.take, self.inputs[TARGETS]
        axis = None if targets.ndim == 1 else 0  # for a vector, None saves 0.1 us
        noise, random = plan.noise, state.noise.random
        run, weights, augment = plan.run, self._weights, spec.augment

        def gather_and_run(index: Array, start: int) -> None:
            take_inputs(index, 0, inputs, "clip")
            if augment is not None:
                augment(inputs, state.epoch, start)
            take_targets(index, axis, targets, "clip")
            if weights is not None:
                weights.take(index, 0, self.inputs[WEIGHTS], "clip")
            for array in noise:
                random(dtype=array.dtype, out=array)
            run()

        return gather_and_run

    def counted(self) -> int:
        """Number of costs in the mean that is the last batch's loss."""
        return self.batch if self._count is None else self._count()

    @np.errstate(all="ignore")  # loss or parameters show an overflow
    def _run_each(self, block: Block) -> None:
        epoch, order, size, run, count = block.epoch, block.epoch.order, self.batch, self.run, self._count
        mean_cost, size_of_gradient, regularization = self.outputs[LOSS], self.outputs[GRADIENT_NORM], self._penalty
        keep, follow, constants = epoch.keeper(self.predictions), self._follow, self.constants
        table, first = block.constants
        losses, penalties, norms = block.sums
        total, penalty, norm = block.last
        done, counted, costs, position = 0, 0, size, block.position
        try:
            for row in table[first : first + block.steps]:
                constants[...] = row
                run(order[position : position + size], position)
                if count is not None:
                    costs = count()
                # Half the time of `.item()`.
                total, norm = float(mean_cost) * costs, float(size_of_gradient)
                if regularization is not None:
                    penalty = float(regularization)
                if keep is not None:
                    keep(position)
                counted += costs
                done, position = done + 1, position + size
                losses, penalties, norms = losses + total, penalties + penalty, norms + norm
                if not isfinite(total + penalty + norm):
                    break
                if follow is not None:
                    follow(StepEnd(block.step + done, epoch.number, position >= len(order)))
                if perf_counter() >= block.deadline:
                    break
        finally:
            block.done, block.counted, block.costs = done, counted, costs
            block.last, block.sums = (total, penalty, norm), (losses, penalties, norms)

    def _repetition(self, spec: TrainingSpec, plan: StepPlan) -> Repetition | None:
        """The steps in one call of machine code; None if Python has something to do at each step."""
        if plan.only_call is None or GRADIENT_NORM not in plan.outputs:
            return None
        if plan.noise or spec.augment or self._count or self._follow:
            return None
        from backprop_cli.execution.repetition import Repetition  # what compiles takes 4 ms

        sources = {INPUTS: spec.train.inputs, TARGETS: spec.train.targets, WEIGHTS: self._weights}
        gathers = [(source, self.inputs[name]) for name, source in sources.items() if source is not None]
        weights = {LOSS: float(self.batch), REGULARIZATION: 1.0, GRADIENT_NORM: 1.0}
        numbers = [(self.outputs[name], weight) for name, weight in weights.items()]
        return Repetition.of(plan.only_call, gathers, plan.constants, numbers, self.predictions)

    def _run_in_one_call(self, repetition: Repetition, block: Block) -> None:
        epoch, position = block.epoch, block.position
        room = None if self.predictions is None else (epoch.room(self.predictions), position)
        seconds = block.deadline - perf_counter()
        repetition.prepare((epoch.order, position), block.constants, room, block.steps, seconds, block.sums)
        try:
            repetition.run()
        finally:
            block.done, block.last, block.sums = repetition.results
            block.counted, block.costs = block.done * self.batch, self.batch
