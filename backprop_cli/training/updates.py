"""Optimizer updates between two events.

On a small network an update takes a few microseconds, as long as ten lines of Python. Therefore the loop over updates
uses local names only and writes the state when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf, isfinite
from time import perf_counter

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.errors import DivergenceError
from backprop_cli.nn.average import StepEnd
from backprop_cli.nn.schedule import Clock
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.averaging import Averaging
from backprop_cli.training.running_epoch import RunningEpoch
from backprop_cli.training.state import AUGMENT, SCHEDULE, State
from backprop_cli.training.step_plan import StepPlan, StepPlans
from backprop_cli.training.step_program import (
    GRADIENT_NORM,
    INPUTS,
    LOSS,
    PREDICTIONS,
    REGULARIZATION,
    SHARE,
    TARGETS,
    WEIGHTS,
)
from backprop_cli.training.training_spec import TrainingSpec

UpdateStatistics = tuple[float, float, float, float, int]
"""Loss, regularization, gradient norm, learning rate and number of examples of an update."""


class BatchStep:
    """A step plan for one batch size, and the examples to run it on.

    ``run(index, start)`` gathers the examples ``index``, which begin at position ``start`` of the epoch's order, and
    runs the plan.
    """

    def __init__(self, spec: TrainingSpec, state: State, batch: int, plan: StepPlan):
        self.batch, self.inputs, self.outputs = batch, plan.inputs, plan.outputs
        self.predictions = self.outputs.get(PREDICTIONS)
        self.run = self._runner(spec, state, plan)
        loss = spec.recipe.loss
        # Only tokens have another number of costs than examples; counting takes as long as a small NumPy call.
        self.count = partial(loss.count, self.inputs[TARGETS]) if loss.task.has_positions else None

    def _runner(self, spec: TrainingSpec, state: State, plan: StepPlan) -> Callable[[Array, int], None]:
        # With "clip" NumPy writes into `out` directly; the indexes are in range by construction. The method with
        # positional arguments takes 0.2 us for a small batch, np.take 0.8 us.
        take_inputs, inputs = spec.train.inputs.take, self.inputs[INPUTS]
        take_targets, targets = spec.train.targets.take, self.inputs[TARGETS]
        axis = None if targets.ndim == 1 else 0  # for a vector, None saves 0.1 us
        noise, random = plan.noise, state.noise.random
        run, weights, augment = plan.run, self._weights(spec), spec.augment

        def gather_and_run(index: Array, start: int) -> None:
            take_inputs(index, 0, inputs, "clip")
            if augment is not None:
                # Seeded by the position in the run: a resumed run sees the same images, and dropout's draws stay.
                augment(inputs, np.random.default_rng([spec.seed, AUGMENT, state.epoch, start]))
            take_targets(index, axis, targets, "clip")
            if weights is not None:
                weights(index)
            for array in noise:
                random(dtype=array.dtype, out=array)
            run()

        return gather_and_run

    def _weights(self, spec: TrainingSpec) -> Callable[[Array], object] | None:
        """A function that gathers the examples' weights into the plan's input; None without weights."""
        if not spec.recipe.weighted:
            return None
        into = self.inputs[WEIGHTS]
        if spec.train.weights is None:
            into[...] = 1.0
            return None
        take = spec.train.weights.astype(into.dtype).take
        return lambda index: take(index, 0, into, "clip")

    def counted(self) -> int:
        """Number of costs in the mean that is the last batch's loss."""
        return self.batch if self.count is None else self.count()


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
        self.averaging = Averaging(spec.recipe, state)
        if state.step == 0:
            self.averaging.start()

    def step_on(self, batch: int, updates: bool) -> BatchStep:
        """The step on ``batch`` examples: the last batch of an update, or (without ``updates``) an earlier one."""
        key = batch, updates
        if key not in self._steps:
            spec = self.spec
            compiled = spec.compiled and batch == min(spec.settings.batch_size, len(spec.train.inputs))
            self._steps[key] = BatchStep(spec, self.state, batch, self._plans.make(batch, updates, compiled))
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
        # Loss or parameters show an overflow. Set once here: it costs as much as some NumPy calls.
        with np.errstate(all="ignore"):
            while True:
                start, *before = self._accumulate(epoch)
                batch_step = self.step_on(min(size, count - start), updates=True)
                last = state.step + 1 if self.spec.recipe.accumulate else until
                numbers = self._update(epoch, batch_step, start, before, last, deadline)
                if state.step >= until or state.position >= count or perf_counter() >= deadline:
                    self.averaging.settle()
                    return numbers

    def _accumulate(self, epoch: RunningEpoch) -> tuple[int, float, int]:
        """Run all batches of an update except the last.

        Returns the start of the last batch, and the sum and the number of the costs in the others.
        """
        start, before, counted = self.state.position, 0.0, 0
        if not self.spec.recipe.accumulate:
            return start, before, counted
        size = self.spec.settings.batch_size
        end = min(start + self.spec.settings.accumulate * size, len(epoch.order))
        share = self._sharing(epoch.order[start:end])
        while end - start > size:
            batch_step, batch = self.step_on(size, updates=False), epoch.order[start : start + size]
            batch_step.inputs[SHARE][...] = share(batch)
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
        state, order, totals, size = self.state, epoch.order, epoch.totals, plan.batch
        set_constants, keep = self._constants_setter(plan), epoch.keeper(plan.predictions)
        run, count = plan.run, plan.count
        mean_cost, size_of_gradient = plan.outputs[LOSS], plan.outputs[GRADIENT_NORM]
        regularization = plan.outputs[REGULARIZATION] if self.spec.recipe.penalties else None
        losses, penalties, norms, counted = totals["loss"], totals["penalty"], totals["norm"], totals["counted"]
        step, position, examples, end = state.step, start, start + size - state.position, len(order) - size
        rate, total, penalty, norm, costs = 0.0, 0.0, 0.0, 0.0, size
        follow = self.averaging.after if self.averaging.is_needed else None
        try:
            while True:
                rate = set_constants(step + 1)
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
                step, position = step + 1, position + size
                losses, penalties, norms = losses + total, penalties + penalty, norms + norm
                if not isfinite(total + penalty + norm):
                    break
                if follow is not None:
                    follow(StepEnd(step, state.epoch, position >= len(order)))
                if step >= until or position > end or perf_counter() >= deadline:
                    return (before[0] + total) / max(before[1] + costs, 1), penalty, norm, rate, examples
        finally:
            if step > state.step:
                totals.update(loss=losses, counted=counted, penalty=penalties, norm=norms, rate=rate)
                totals["examples"] += position - start
                totals["steps"] += step - state.step
                state.step, state.position = step, position
                self.batch = order[position - examples : position]
        loss = (before[0] + total) / max(before[1] + costs, 1)
        seen = f"loss {loss:g}, gradient norm {norm:g}, learning rate {rate:g}"
        if isfinite(loss) and norm == inf and size_of_gradient.dtype == np.float32:
            raise diverged(state, seen, _TOO_LARGE)
        raise diverged(state, seen)

    def _constants_setter(self, plan: BatchStep) -> Callable[[int], float]:
        """A function that writes a step's constants into the plan's inputs and returns the learning rate.

        The rate is the optimizer's own, not that of a parameter group.
        """
        state, schedule, recipe, inputs = self.state, self.spec.schedule, self.spec.recipe, plan.inputs
        multiplier, memory, base = schedule.multiplier, state.memory.get(SCHEDULE, {}), recipe.optimizer.learning_rate
        calendar = state.epoch, self.spec.total_steps, self.spec.steps_per_epoch
        rates = [(inputs[span.learning_rate], span.optimizer.learning_rate) for span in recipe.spans]
        constants = [(span.optimizer.scalars, span.arrays(inputs)) for span in recipe.spans]
        varies_until = max(schedule.warmup_steps, state.step + 1) if schedule.by_epoch else inf
        rate = 0.0

        def set_constants(step: int) -> float:
            nonlocal rate
            if step <= varies_until:
                scale = multiplier(Clock(step, *calendar), memory)
                rate = base * scale
                for array, own in rates:
                    array[()] = own * scale
            for scalars, arrays in constants:
                for name, value in scalars(step).items():
                    arrays[name][()] = value
            return rate

        return set_constants


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
