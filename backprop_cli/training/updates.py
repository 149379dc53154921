"""Optimizer updates, one after the other: what happens between two events.

On a small network an update takes a few microseconds, as much as some ten lines of Python. Therefore the loop over
updates works with local names alone, and the state is brought up to date when it ends.
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

Numbers = tuple[float, float, float, float, int]
"""Of an update: loss, regularization, gradient norm, learning rate, number of examples."""


class Bound:
    """A plan for one batch size, with its buffers at hand. ``run(index, start)``: gather these examples, which begin
    at place ``start`` of the epoch's order, and run the plan.
    """

    def __init__(self, spec: TrainingSpec, state: State, batch: int, plan: StepPlan):
        self.batch, self.inputs, self.outputs = batch, plan.inputs, plan.outputs
        self.predictions = self.outputs.get(PREDICTIONS)
        self.run = self._runner(spec, state, plan)
        loss = spec.recipe.loss
        # Of all other targets a batch has as many as examples; to ask costs as much as a small NumPy call.
        self.count = partial(loss.count, self.inputs[TARGETS]) if loss.task.has_positions else None

    def _runner(self, spec: TrainingSpec, state: State, plan: StepPlan) -> Callable[[Array, int], None]:
        # With "clip" NumPy writes into `out` directly; the indexes are in range by construction. The method, called
        # by position, takes 0.2 us for a small batch, the function np.take 0.8.
        take_inputs, inputs = spec.train.inputs.take, self.inputs[INPUTS]
        take_targets, targets = spec.train.targets.take, self.inputs[TARGETS]
        axis = None if targets.ndim == 1 else 0  # of numbers in a row: 0.1 us less
        noise, random = plan.noise, state.noise.random
        run, weights, augment = plan.run, self._weights(spec), spec.augment

        def gather_and_run(index: Array, start: int) -> None:
            take_inputs(index, 0, inputs, "clip")
            if augment is not None:
                # Seeded by the place in the run: a resumed one sees the same images, and dropout draws as without.
                augment(inputs, np.random.default_rng([spec.seed, AUGMENT, state.epoch, start]))
            take_targets(index, axis, targets, "clip")
            if weights is not None:
                weights(index)
            for array in noise:
                random(dtype=array.dtype, out=array)
            run()

        return gather_and_run

    def _weights(self, spec: TrainingSpec) -> Callable[[Array], object] | None:
        """A function that gathers the examples' weights; None where they have none."""
        if not spec.recipe.weighted:
            return None
        into = self.inputs[WEIGHTS]
        if spec.train.weights is None:
            into[...] = 1.0
            return None
        take = spec.train.weights.astype(into.dtype).take
        return lambda index: take(index, 0, into, "clip")

    def counted(self) -> int:
        """How many costs the loss of the last batch is the mean of."""
        return self.batch if self.count is None else self.count()


class Updates:
    """Makes a spec's updates on a state."""

    def __init__(self, spec: TrainingSpec, state: State, watch: Stopwatch):
        self.spec, self.state = spec, state
        self._plans = StepPlans(spec.recipe, state.vectors, watch, spec.workers, predictions=bool(spec.metrics))
        self.batch: Array | None = None
        """Indexes of the last update's examples."""
        self._bound: dict[tuple[int, bool], Bound] = {}
        self.averaging = Averaging(spec.recipe, state)
        if state.step == 0:
            self.averaging.start()

    def bind(self, batch: int, updates: bool) -> Bound:
        """The plan of an update whose last batch has so many examples, or else of a batch before the last."""
        key = batch, updates
        if key not in self._bound:
            spec = self.spec
            compiled = spec.compiled and batch == min(spec.settings.batch_size, len(spec.train.inputs))
            self._bound[key] = Bound(spec, self.state, batch, self._plans.make(batch, updates, compiled))
        return self._bound[key]

    def ended(self) -> str:
        """Why there is nothing left to do; empty where there is."""
        return ""

    def warm_up(self) -> None:
        """Trace and plan what an epoch needs."""
        spec = self.spec
        size, count = spec.settings.batch_size, len(spec.train.inputs)
        for examples in (min(size, count), count - (spec.batches - 1) * size):
            self.bind(examples, updates=True)
            if spec.recipe.accumulate:
                self.bind(examples, updates=False)

    def run(self, epoch: RunningEpoch, until: float, deadline: float) -> Numbers:
        """Updates up to step ``until``, the end of the epoch or the time ``deadline``, one at least.

        An update is of ``accumulate`` batches, fewer at the end of the epoch, whose last batch may be smaller. The
        state is exact afterwards. Returns the numbers of the last update.

        Raises:
            DivergenceError: loss, regularization or gradient is not finite any more.

        """
        state, count, size = self.state, len(epoch.order), self.spec.settings.batch_size
        # What overflows is seen in the loss or the parameters. Set here, for it costs as much as some NumPy calls.
        with np.errstate(all="ignore"):
            while True:
                start, *before = self._accumulate(epoch)
                bound = self.bind(min(size, count - start), updates=True)
                last = state.step + 1 if self.spec.recipe.accumulate else until
                numbers = self._update(epoch, bound, start, before, last, deadline)
                if state.step >= until or state.position >= count or perf_counter() >= deadline:
                    self.averaging.settle()
                    return numbers

    def _accumulate(self, epoch: RunningEpoch) -> tuple[int, float, int]:
        """All batches of the update at hand but the last: where that one begins, and of the others the sum of the costs
        and how many they are.
        """
        start, before, counted = self.state.position, 0.0, 0
        if not self.spec.recipe.accumulate:
            return start, before, counted
        size = self.spec.settings.batch_size
        end = min(start + self.spec.settings.accumulate * size, len(epoch.order))
        share = self._sharing(epoch.order[start:end])
        while end - start > size:
            bound, batch = self.bind(size, updates=False), epoch.order[start : start + size]
            bound.inputs[SHARE][...] = share(batch)
            bound.run(batch, start)
            total = bound.outputs[LOSS].item() * bound.counted()
            before, counted = before + total, counted + bound.counted()
            epoch.add_batch(start, size, total, bound.counted(), bound.predictions)
            start += size
        self.bind(end - start, updates=True).inputs[SHARE][...] = share(epoch.order[start:end])
        return start, before, counted

    def _sharing(self, update: Array) -> Callable[[Array], float]:
        """The share that a batch has in its update. All shares are 1 together, so that penalties count once.

        A batch's share is that of the costs that count; where none does, that of the examples.
        """
        whole = self._count(update)
        return lambda batch: self._count(batch) / whole if whole else len(batch) / len(update)

    def _count(self, index: Array) -> int:
        """How many costs a batch of these examples is the mean of."""
        loss = self.spec.recipe.loss
        return loss.count(self.spec.train.targets[index]) if loss.task.has_positions else len(index)

    def _update(
        self, epoch: RunningEpoch, bound: Bound, start: int, before: Sequence[float], until: float, deadline: float
    ) -> Numbers:
        """Updates whose last batches have the same size; that of the first begins at ``start``.

        ``before``: the sum of the costs in the update's earlier batches, and how many they are.
        """
        state, order, totals, size = self.state, epoch.order, epoch.totals, bound.batch
        tell, run, keep, count = self._teller(bound), bound.run, epoch.keeper(bound.predictions), bound.count
        mean_cost, size_of_gradient = bound.outputs[LOSS], bound.outputs[GRADIENT_NORM]
        regularization = bound.outputs[REGULARIZATION] if self.spec.recipe.penalties else None
        losses, penalties, norms, counted = totals["loss"], totals["penalty"], totals["norm"], totals["counted"]
        step, position, examples, end = state.step, start, start + size - state.position, len(order) - size
        rate, total, penalty, norm, costs = 0.0, 0.0, 0.0, 0.0, size
        follow = self.averaging.after if self.averaging.is_needed else None
        try:
            while True:
                rate = tell(step + 1)
                run(order[position : position + size], position)
                if count is not None:
                    costs = count()
                # Half the time of `.item()`; what cannot be infinite is not looked at.
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

    def _teller(self, bound: Bound) -> Callable[[int], float]:
        """A function that tells the plan a step's constants; it returns the learning rate, that without groups."""
        state, schedule, recipe, inputs = self.state, self.spec.schedule, self.spec.recipe, bound.inputs
        multiplier, memory, base = schedule.multiplier, state.memory.get(SCHEDULE, {}), recipe.optimizer.learning_rate
        calendar = state.epoch, self.spec.total_steps, self.spec.steps_per_epoch
        rates = [(inputs[span.learning_rate], span.optimizer.learning_rate) for span in recipe.spans]
        constants = [(span.optimizer.scalars, span.arrays(inputs)) for span in recipe.spans]
        varies_until = max(schedule.warmup_steps, state.step + 1) if schedule.by_epoch else inf
        rate = 0.0

        def tell(step: int) -> float:
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

        return tell


_TOO_LARGE = (
    "in float32 the norm of a gradient above 1.8e19 is infinite: standardize inputs and targets, or set "
    "training.precision to float64"
)
"""Clipping by the norm does not help: a gradient that is divided by infinity is 0."""


def diverged(
    state: State, seen: str, way_out: str = "lower optimizer.learning_rate or set training.clip_norm"
) -> DivergenceError:
    """What to raise when something is not finite any more; ``seen``: what, with its value."""
    return DivergenceError(f"training diverged at step {state.step} (epoch {state.epoch}): {seen}; {way_out}")
