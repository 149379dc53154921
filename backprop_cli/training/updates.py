"""Optimizer updates between two events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite
from time import perf_counter

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.errors import DivergenceError
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.averaging import Averaging
from backprop_cli.training.batch_step import BatchStep, Block
from backprop_cli.training.running_epoch import RunningEpoch
from backprop_cli.training.state import State
from backprop_cli.training.step_constants import StepConstants
from backprop_cli.training.step_plan import StepPlans
from backprop_cli.training.step_program import GRADIENT_NORM, LOSS, SHARE
from backprop_cli.training.training_spec import TrainingSpec

UpdateStatistics = tuple[float, float, float, float, int]
"""Loss, regularization, gradient norm, learning rate and number of examples of an update."""


class Updates:
    """Runs the updates of a training spec on a state."""

    def __init__(self, spec: TrainingSpec, state: State, watch: Stopwatch):
        self.spec, self.state = spec, state
        self._plans = StepPlans(
            spec.recipe,
            state.vectors,
            watch,
            spec.workers,
            spec.loop_threads,
            predictions=bool(spec.metrics),
        )
        self.batch: Array | None = None
        """Indexes of the examples in the last update."""
        self._steps: dict[tuple[int, bool], BatchStep] = {}
        self._constants = StepConstants(spec, state)
        self.averaging = Averaging(spec.recipe, state)
        if state.step == 0:
            self.averaging.start()

    def step_on(self, batch: int, updates: bool) -> BatchStep:
        """The step on ``batch`` examples: the last batch of an update, or (without ``updates``) an earlier one."""
        key = batch, updates
        if key not in self._steps:
            spec = self.spec
            compiled = spec.compiled and batch == min(spec.settings.batch_size, len(spec.train.inputs))
            plan = self._plans.make(batch, updates, compiled)
            follow = self.averaging.after if updates and self.averaging.is_needed else None
            self._steps[key] = BatchStep(spec, self.state, batch, plan, follow)
        return self._steps[key]

    def ended(self) -> str:
        """The reason to stop now; empty to continue."""
        return ""

    def warm_up(self) -> None:
        """Trace and plan the steps of an epoch."""
        spec = self.spec
        size, count = spec.settings.batch_size, len(spec.train.inputs)
        for examples in (min(size, count), count - (spec.batches - 1) * size):
            self.step_on(examples, updates=True)
            if spec.recipe.accumulate:
                self.step_on(examples, updates=False)

    def run(self, epoch: RunningEpoch, until: float, deadline: float) -> UpdateStatistics:
        """Update up to step ``until``, the end of the epoch or the time ``deadline``, but at least once.

        An update has ``accumulate`` batches, fewer at the end of the epoch, where the last batch may be smaller. The
        state is exact afterwards. Returns the numbers of the last update.

        Raises:
            DivergenceError: loss, regularization or gradient is no longer finite.

        """
        state, count, size = self.state, len(epoch.order), self.spec.settings.batch_size
        while True:
            start, *before = self._accumulate(epoch) if self.spec.recipe.accumulate else (state.position, 0.0, 0)
            batch_step = self.step_on(min(size, count - start), updates=True)
            last = state.step + 1 if self.spec.recipe.accumulate else until
            numbers = self._update(epoch, batch_step, start, before, last, deadline)
            if state.step >= until or state.position >= count or perf_counter() >= deadline:
                self.averaging.settle()
                return numbers

    @np.errstate(all="ignore")  # loss or parameters show an overflow
    def _accumulate(self, epoch: RunningEpoch) -> tuple[int, float, int]:
        """Run all batches of an update except the last.

        Returns the start of the last batch, and the sum and the number of the costs in the others.
        """
        start, before, counted, size = self.state.position, 0.0, 0, self.spec.settings.batch_size
        end = min(start + self.spec.settings.accumulate * size, len(epoch.order))
        share = self._sharing(epoch.order[start:end])
        (table, row), _ = self._constants.after(self.state.step, 1)
        while end - start > size:
            batch_step, batch = self.step_on(size, updates=False), epoch.order[start : start + size]
            batch_step.inputs[SHARE][...], batch_step.constants[...] = share(batch), table[row]
            batch_step.run(batch, start)
            total = batch_step.outputs[LOSS].item() * batch_step.counted()
            before, counted = before + total, counted + batch_step.counted()
            epoch.add_batch(start, size, total, batch_step.counted(), batch_step.predictions)
            start += size
        self.step_on(end - start, updates=True).inputs[SHARE][...] = share(epoch.order[start:end])
        return start, before, counted

    def _sharing(self, update: Array) -> Callable[[Array], float]:
        """The share of a batch in its update. The shares sum to 1, so that penalties count once.

        It is the batch's share of the costs that count, or of the examples if no cost counts.
        """
        whole = self._count(update)
        return lambda batch: self._count(batch) / whole if whole else len(batch) / len(update)

    def _count(self, index: Array) -> int:
        """Number of costs in the mean over these examples."""
        loss = self.spec.recipe.loss
        return loss.count(self.spec.train.targets[index]) if loss.task.has_positions else len(index)

    def _update(
        self, epoch: RunningEpoch, plan: BatchStep, start: int, before: Sequence[float], until: float, deadline: float
    ) -> UpdateStatistics:
        """Run updates whose last batches have the same size; the first of those batches begins at ``start``.

        ``before``: sum and number of the costs in the earlier batches of the first update.
        """
        state, order, size = self.state, epoch.order, plan.batch
        examples = start + size - state.position
        constants, rates = self._constants.after(state.step, (len(order) - start) // size)
        steps = int(min(until - state.step, len(rates)))
        block = Block(epoch, state.step, start, constants, steps, deadline)
        try:
            plan.run_all(block)
        finally:
            if block.done:
                self._advance(block, size, rates[block.done - 1])
        total, penalty, norm = block.last
        loss, rate = (before[0] + total) / max(before[1] + block.costs, 1), rates[block.done - 1]
        if isfinite(total + penalty + norm):
            return loss, penalty, norm, rate, examples
        seen = f"loss {loss:g}, gradient norm {norm:g}, learning rate {rate:g}"
        if isfinite(loss) and norm == inf and plan.outputs[GRADIENT_NORM].dtype == np.float32:
            raise diverged(state, seen, _TOO_LARGE)
        raise diverged(state, seen)

    def _advance(self, block: Block, size: int, rate: float) -> None:
        """Write what a block, whose batches have ``size`` examples, has done into the state."""
        state, totals, done = self.state, block.epoch.totals, block.done
        end = block.position + done * size
        totals["loss"], totals["penalty"], totals["norm"] = block.sums
        totals["rate"] = rate
        totals["counted"] += block.counted
        totals["examples"] += done * size
        totals["steps"] += done
        # An update with several batches is a block of its own.
        self.batch = block.epoch.order[state.position + (done - 1) * size : end]
        state.step, state.position = state.step + done, end


_TOO_LARGE = (
    "in float32 the norm of a gradient above 1.8e19 is infinite: standardize inputs and targets, or set "
    "training.precision to float64"
)
"""Clipping by the norm does not help: a gradient divided by infinity is 0."""


def diverged(
    state: State, seen: str, way_out: str = "lower optimizer.learning_rate or set training.clip_norm"
) -> DivergenceError:
    """The error for a number that is no longer finite. ``seen``: names and values of the numbers."""
    return DivergenceError(f"training diverged at step {state.step} (epoch {state.epoch}): {seen}; {way_out}")
