"""The training loop: a generator of events. It prints nothing, saves nothing, and stops when nobody asks for more."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backprop_cli.autodiff import Array, Plan
from backprop_cli.errors import DivergenceError
from backprop_cli.nn.metric import Metric
from backprop_cli.nn.schedule import Clock, Schedule
from backprop_cli.training.evaluation import Evaluator, Examples, Unit, same_unit
from backprop_cli.training.events import Epoch, Event, Step, Stopped
from backprop_cli.training.monitor import Monitor
from backprop_cli.training.program import (
    GRADIENT_NORM,
    INPUTS,
    LEARNING_RATE,
    LOSS,
    PREDICTIONS,
    REGULARIZATION,
    SHARE,
    TARGETS,
    Recipe,
    accumulation_step,
    training_step,
)
from backprop_cli.training.settings import TrainingSettings
from backprop_cli.training.state import SHUFFLE, State

SCHEDULE, BEST, EARLY_STOPPING, EPOCH = "schedule", "best", "early_stopping", "epoch"
"""Keys of ``State.memory``."""


@dataclass(frozen=True)
class Job:
    """What to train, on what, and how long."""

    recipe: Recipe
    settings: TrainingSettings
    schedule: Schedule
    seed: int
    train: Examples
    validation: Examples | None = None
    metrics: Sequence[Metric] = ()
    to_unit: Unit = same_unit
    best: Monitor | None = None
    early_stopping: Monitor | None = None
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

    def order(self, epoch: int) -> Array:
        """The examples of an epoch in the order they are seen: it follows from seed and epoch alone."""
        count = len(self.train.inputs)
        if not self.settings.shuffle:
            return np.arange(count)
        return np.random.default_rng([self.seed, SHUFFLE, epoch]).permutation(count)


class _Bound:
    """A plan for one batch size, with its buffers at hand."""

    def __init__(self, job: Job, state: State, batch: int, updates: bool):
        trace = training_step if updates else accumulation_step
        program = trace(job.recipe, batch, predictions=bool(job.metrics))
        compiled = job.compiled and batch == min(job.settings.batch_size, len(job.train.inputs))
        self.plan = plan = Plan(program, state.vectors, compiled=compiled)
        self.inputs, self.targets = plan.inputs[INPUTS], plan.inputs[TARGETS]
        self.noise = [plan.inputs[name] for name in job.recipe.model.noise(batch)]
        self.scalars = plan.inputs
        self.loss, self.regularization = plan.outputs[LOSS], plan.outputs[REGULARIZATION]
        self.gradient_norm = plan.outputs.get(GRADIENT_NORM)
        self.predictions = plan.outputs.get(PREDICTIONS)

    def run(self, train: Examples, index: Array, noise: np.random.Generator) -> None:
        """Gather a batch and run the plan on it."""
        # With "clip" NumPy writes into `out` directly; the indexes are in range by construction. The method, called
        # by position, takes 0.2 us for a small batch, the function np.take 0.8.
        train.inputs.take(index, 0, self.inputs, "clip")
        train.targets.take(index, 0, self.targets, "clip")
        for array in self.noise:
            noise.random(dtype=array.dtype, out=array)
        self.plan.run()


class _EpochSums:
    """What an epoch's train metrics are made of. It lives in the state, so that a resumed epoch keeps it."""

    def __init__(self, job: Job, state: State):
        start = {"loss": 0.0, "examples": 0, "penalty": 0.0, "norm": 0.0, "steps": 0, "rate": 0.0, "begin": 0}
        self.totals = state.memory.setdefault(EPOCH, start)
        self.examples = 0  # of this process
        self._state = state
        self._count = len(job.train.inputs)
        if not job.metrics:
            state.predictions = None
        elif state.predictions is None:
            self.totals["begin"] = state.position

    @property
    def predicted(self) -> slice:
        """The part of the epoch's order that there are predictions of: all of it, unless metrics came in later."""
        return slice(int(self.totals["begin"]), self._state.position)

    def add(self, bound: _Bound, loss: float, start: int, count: int) -> None:
        """One batch, which begins at ``start`` in the epoch's order."""
        self.totals["loss"] += loss * count
        self.totals["examples"] += count
        self.examples += count
        if bound.predictions is not None:
            self._room(bound.predictions)[start : start + count] = bound.predictions

    def close(self, penalty: float, norm: float, rate: float) -> None:
        """One update."""
        self.totals["penalty"] += penalty
        self.totals["norm"] += norm
        self.totals["steps"] += 1
        self.totals["rate"] = rate

    def _room(self, batch: Array) -> Array:
        """The state's predictions, with room for the whole epoch."""
        made = self._state.predictions
        if made is None or len(made) < self._count:
            self._state.predictions = np.empty((self._count, *batch.shape[1:]), batch.dtype)
            if made is not None:
                self._state.predictions[: len(made)] = made
        assert self._state.predictions is not None
        return self._state.predictions

    def means(self) -> dict[str, float]:
        """Means over the epoch, of examples for the loss, of updates for the rest; and the last update's rate."""
        totals = self.totals
        examples, steps = max(totals["examples"], 1), max(totals["steps"], 1)
        return {
            "train/loss": totals["loss"] / examples,
            "train/regularization": totals["penalty"] / steps,
            "gradient_norm": totals["norm"] / steps,
            "learning_rate": totals["rate"],
        }


class Trainer:
    """Runs a job from a state, which it advances in place.

    At every event the state is exact: a checkpoint made of it continues with the same bits.
    """

    def __init__(self, job: Job, state: State):
        self.job, self.state = job, state
        self.evaluator = Evaluator(job.recipe, state.parameters, job.metrics, job.to_unit)
        self._bound: dict[tuple[int, bool], _Bound] = {}
        self._count = len(job.train.inputs)
        state.position = min(state.position, self._count)  # the data of a resumed run may have shrunk
        self._order = job.order(state.epoch)
        self._started = time.perf_counter() - state.seconds
        self.batch = self._order[: job.settings.batch_size]
        """Indexes of the examples of the last update (of the next one, before the first)."""

    def _bind(self, batch: int, updates: bool) -> _Bound:
        key = batch, updates
        if key not in self._bound:
            self._bound[key] = _Bound(self.job, self.state, batch, updates)
        return self._bound[key]

    def warm_up(self) -> None:
        """Trace and plan what the first epoch needs, without a step."""
        size = self.job.settings.batch_size
        last = (self.job.batches - 1) * size
        for start in (0, last):
            examples = min(size, self._count - start)
            self._bind(examples, updates=True)
            if self.job.recipe.accumulate:
                self._bind(examples, updates=False)

    def check_finite(self) -> None:
        """The last update may have made a parameter infinite, which no loss has seen yet.

        Raises:
            DivergenceError: a parameter is not finite; it is named.

        """
        finite = np.isfinite(self.state.parameters)
        if not finite.all():
            place = int(np.argmin(finite))
            name, index = self.job.recipe.layout.name_at(place)
            raise DivergenceError(self._story(f"{name}{list(index)} is {self.state.parameters[place]:g}"))

    def run(self) -> Iterator[Event]:
        """Train until the planned end, early stopping or a limit.

        Raises:
            DivergenceError: loss, gradient, a parameter or, after an epoch, the validation loss is not finite any more;
                the state is that after the step.

        """
        job, state = self.job, self.state
        while state.epoch <= job.settings.epochs:
            reason = self._limit() or self._patience()
            if reason:
                yield Stopped(state.step, state.epoch, reason)
                return
            self._order = job.order(state.epoch)
            sums = _EpochSums(job, state)
            started = time.perf_counter()
            while state.position < self._count and not self._limit():
                yield self._update(sums)
            if state.position > 0:
                yield self._close_epoch(sums, time.perf_counter() - started)

    def _limit(self) -> str:
        settings, state = self.job.settings, self.state
        if settings.max_steps is not None and state.step >= settings.max_steps:
            return f"max_steps: {settings.max_steps} steps are done"
        if settings.max_seconds is not None and time.perf_counter() - self._started >= settings.max_seconds:
            return f"max_seconds: {settings.max_seconds:g} s are over"
        return ""

    def _patience(self) -> str:
        monitor = self.job.early_stopping
        memory = self.state.memory.get(EARLY_STOPPING, {})
        if monitor is None or not monitor.is_out_of_patience(memory):
            return ""
        waited = f"{memory['waited']:g} epoch{'' if memory['waited'] == 1 else 's'}"
        if "value" not in memory:
            return f"early stopping: {monitor.name} was never a number in {waited}"
        return f"early stopping: {monitor.name} has not improved on {memory['value']:.6g} for {waited}"

    def _rate(self) -> float:
        job, state = self.job, self.state
        clock = Clock(state.step + 1, state.epoch, job.total_steps, job.steps_per_epoch)
        return job.recipe.optimizer.learning_rate * job.schedule.multiplier(clock, state.memory.get(SCHEDULE, {}))

    def _update(self, sums: _EpochSums) -> Step:
        """One optimizer update: ``accumulate`` batches, fewer at the end of the epoch."""
        job, state = self.job, self.state
        size = job.settings.batch_size
        begin = state.position
        end = min(begin + job.settings.accumulate * size, self._count)
        self.batch = self._order[begin:end]
        rate, loss = self._rate(), 0.0
        for start in range(begin, end, size):
            index = self._order[start : min(start + size, end)]
            updates = start + size >= end
            bound = self._bind(len(index), updates)
            with np.errstate(all="ignore"):  # what overflows is seen in the loss or the parameters
                if job.recipe.accumulate:
                    bound.scalars[SHARE][...] = len(index) / (end - begin)
                if updates:
                    self._set_scalars(bound, rate)
                bound.run(job.train, index, state.noise)
            batch_loss = bound.loss.item()
            sums.add(bound, batch_loss, start, len(index))
            loss += batch_loss * len(index)
        state.step += 1
        state.position = end
        return self._step(bound, sums, loss / (end - begin), rate, end - begin)

    def _set_scalars(self, bound: _Bound, rate: float) -> None:
        """What the optimizer is told of the step at hand."""
        bound.scalars[LEARNING_RATE][...] = rate
        for name, value in self.job.recipe.optimizer.scalars(self.state.step + 1).items():
            bound.scalars[name][...] = value

    def _step(self, bound: _Bound, sums: _EpochSums, loss: float, rate: float, examples: int) -> Step:
        state = self.state
        assert bound.gradient_norm is not None
        norm, penalty = bound.gradient_norm.item(), bound.regularization.item()
        if not (math.isfinite(loss) and math.isfinite(norm) and math.isfinite(penalty)):
            seen = f"loss {loss:g}, gradient norm {norm:g}, learning rate {rate:g}"
            raise DivergenceError(self._story(seen))
        sums.close(penalty, norm, rate)
        state.seconds = time.perf_counter() - self._started
        return Step(state.step, state.epoch, loss, penalty, norm, rate, examples, state.seconds)

    def _story(self, seen: str) -> str:
        return (
            f"training diverged at step {self.state.step} (epoch {self.state.epoch}): {seen}; "
            "lower optimizer.learning_rate or set training.clip_norm"
        )

    def _close_epoch(self, sums: _EpochSums, seconds: float) -> Epoch:
        state = self.state
        epoch, partial = state.epoch, state.position < self._count
        self.check_finite()
        metrics = self._epoch_metrics(sums, seconds)
        held_out = metrics.get("validation/loss", 0.0)
        if not math.isfinite(held_out):
            raise DivergenceError(self._story(f"validation loss {held_out:g}"))
        improved = False
        if not partial:
            improved = self._remember(metrics, epoch)
            del state.memory[EPOCH]
            state.epoch, state.position = epoch + 1, 0
        state.seconds = time.perf_counter() - self._started
        return Epoch(state.step, epoch, state.seconds, metrics, partial, improved)

    def _epoch_metrics(self, sums: _EpochSums, seconds: float) -> dict[str, float]:
        job = self.job
        means = sums.means()
        found = {"train/loss": means["train/loss"]}
        if job.recipe.regularization.l1 or job.recipe.regularization.l2:
            found["train/regularization"] = means["train/regularization"]
        part = sums.predicted
        if self.state.predictions is not None and part.start < part.stop:
            measured = self.evaluator.measure(self.state.predictions[part], job.train.targets[self._order[part]])
            found |= {f"train/{name}": value for name, value in measured.items()}
        if job.validation is not None:
            found |= {f"validation/{name}": v for name, v in self.evaluator.evaluate(job.validation).items()}
        found |= {name: means[name] for name in ("learning_rate", "gradient_norm")}
        found["examples_per_second"] = sums.examples / seconds if seconds > 0 else 0.0
        return found

    def _remember(self, metrics: dict[str, float], epoch: int) -> bool:
        job, state, memory = self.job, self.state, self.state.memory
        memory[SCHEDULE] = job.schedule.observe(memory.get(SCHEDULE, job.schedule.start()), metrics)
        improved = False
        if job.early_stopping is not None:
            before = memory.get(EARLY_STOPPING, {})
            memory[EARLY_STOPPING], _ = job.early_stopping.observe(before, metrics, state.step, epoch)
        if job.best is not None:
            memory[BEST], improved = job.best.observe(memory.get(BEST, {}), metrics, state.step, epoch)
        return improved
