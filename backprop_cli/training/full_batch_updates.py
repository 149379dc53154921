"""Updates of a full-batch optimizer, which evaluates loss and gradient several times an update."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.nn.line_search import Line, Trial, WolfeSearch
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.nn.schedule import Clock
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.running_epoch import RunningEpoch
from backprop_cli.training.state import FULL_BATCH, SCHEDULE, State
from backprop_cli.training.step_program import BUFFERS, GRADIENT, GRADIENT_NORM, LOSS, REGULARIZATION
from backprop_cli.training.training_spec import TrainingSpec
from backprop_cli.training.updates import Updates, UpdateStatistics, diverged

_SMALLEST = 1e-10
"""Smallest ratio ``s^T y / y^T y`` of a step ``s`` and its change of the gradient ``y`` that are remembered."""


class FullBatchUpdates(Updates):
    """Iterations of a ``FullBatch`` optimizer, each an update on the whole train split.

    ``state.memory["full_batch"]`` has these keys. ``pairs``: number of pairs (step, change of the gradient) so far;
    the last ``history`` are kept. ``value``: the objective (loss with penalties) at the parameters. ``largest``: the
    largest absolute entry of its gradient there. ``stalled``: 1 if no step lowers the objective, else 0.
    """

    def __init__(self, spec: TrainingSpec, state: State, watch: Stopwatch):
        super().__init__(spec, state, watch)
        assert isinstance(spec.recipe.optimizer, FullBatch)
        self._optimizer = spec.recipe.optimizer
        self._gradient = state.vectors["gradient"]
        kept = range(self._optimizer.history)
        self._rings = [[state.vectors[f"{name}_{k}"] for k in kept] for name in ("step", "change")]
        self._buffers = state.vectors.get(BUFFERS)

    def ended(self) -> str:
        """The reason to stop: converged, or stalled in this precision."""
        memory, name = self.state.memory.get(FULL_BATCH, {}), self._optimizer.type
        largest, tolerance = memory.get("largest", inf), self._optimizer.tolerance
        if largest <= tolerance:
            return f"{name}: converged; the largest entry of the gradient is {largest:.3g}, tolerance {tolerance:g}"
        if memory.get("stalled"):
            return (
                f"{name}: no step lowers the loss any more in {self.spec.recipe.model.dtype}; the largest entry of the "
                f"gradient is {largest:.3g}, tolerance {tolerance:g}"
            )
        return ""

    def run(self, epoch: RunningEpoch, until: float, deadline: float) -> UpdateStatistics:
        """One iteration, which is a whole epoch: ``until`` and ``deadline`` have no effect. The state is exact then.

        Returns the numbers at the new parameters.

        Raises:
            DivergenceError: the loss or a gradient is not finite at the initial parameters.

        """
        state, count = self.state, len(epoch.order)
        with np.errstate(all="ignore"):
            memory = state.memory.get(FULL_BATCH) or self._begin(epoch.order)
            length = self._descend(epoch.order, memory) if memory["largest"] > self._optimizer.tolerance else 0.0
            numbers = self._numbers(epoch, length)
        totals, (loss, penalty, norm, rate, _) = epoch.totals, numbers
        batch_step = self.step_on(count, updates=True)
        epoch.add_batch(0, count, loss * batch_step.counted(), batch_step.counted(), batch_step.predictions)
        totals.update(penalty=totals["penalty"] + penalty, norm=totals["norm"] + norm, rate=rate)
        totals["steps"] += 1
        state.step, state.position, self.batch = state.step + 1, count, epoch.order
        return numbers

    def _numbers(self, epoch: RunningEpoch, length: float) -> UpdateStatistics:
        """The numbers of the plan's last run, which was at the parameters."""
        outputs = self.step_on(len(epoch.order), updates=True).outputs
        loss, penalty, norm = (outputs[name].item() for name in (LOSS, REGULARIZATION, GRADIENT_NORM))
        return loss, penalty, norm, length, len(epoch.order)

    def _begin(self, order: Array) -> dict[str, float]:
        """Value and gradient at the initial parameters."""
        buffers = self._copied_buffers()
        value = self._value(order)
        self._restore(buffers)
        largest = float(np.max(np.abs(self._new_gradient(order)), initial=0.0))
        if not (isfinite(value) and isfinite(largest)):
            raise diverged(self.state, f"loss {value:g}, largest entry of the gradient {largest:g}")
        self._gradient[...] = self._new_gradient(order)
        memory = {"pairs": 0, "value": value, "largest": largest, "stalled": 0}
        self.state.memory[FULL_BATCH] = memory
        return memory

    def _value(self, order: Array) -> float:
        """The objective at the parameters."""
        batch_step = self.step_on(len(order), updates=True)
        batch_step.run(order, 0)
        return float(batch_step.outputs[LOSS]) + float(batch_step.outputs[REGULARIZATION])

    def _copied_buffers(self) -> Array | None:
        return None if self._buffers is None else self._buffers.copy()

    def _restore(self, buffers: Array | None) -> None:
        """Put the old buffers back: a step updates them once, however often the plan runs."""
        if self._buffers is not None and buffers is not None:
            np.copyto(self._buffers, buffers)

    def _new_gradient(self, order: Array) -> Array:
        return self.step_on(len(order), updates=True).outputs[GRADIENT]

    def _descend(self, order: Array, memory: dict[str, float]) -> float:
        """Search along the direction, take the step, remember it and return its length; 0 if no step is found.

        If the search along the optimizer's direction fails, the remembered pairs mislead: they are forgotten, and the
        gradient is tried.
        """
        parameters, before = self.state.parameters, self.state.parameters.copy()
        buffers = self._copied_buffers()
        for direction in self._directions(memory):
            line = self._line(order, before, buffers, direction)
            slope = -float(self._gradient @ direction)
            search = WolfeSearch(line, memory["value"], slope, self._optimizer.max_line_search)
            found = search.find(self._first_length(memory, direction)) if slope < 0 else None
            if found is not None:
                if search.last is not found:
                    line(found.length)  # plan, parameters and buffers must be at the step found
                self._remember(order, parameters - before, found, memory)
                return found.length
        parameters[...] = before
        self._value(order)
        self._restore(buffers)
        memory["stalled"] = 1
        return 0.0

    def _directions(self, memory: dict[str, float]) -> Iterator[Array]:
        """Directions to step against: the optimizer's direction, then the gradient."""
        if memory["pairs"]:
            yield self._optimizer.direction(self._gradient, *self._pairs(int(memory["pairs"])))
            memory["pairs"] = 0
        yield self._gradient

    def _pairs(self, pairs: int) -> list[list[Array]]:
        """The remembered steps and changes, oldest first."""
        history = self._optimizer.history
        return [[ring[k % history] for k in range(max(0, pairs - history), pairs)] for ring in self._rings]

    def _first_length(self, memory: dict[str, float], direction: Array) -> float:
        """The first length to try: the learning rate, times 1 (Newton's step), or along the gradient ``1 / |g|_1``.

        A gradient suggests no length, so the first step along it is short: the factor is 1 at most.
        """
        spec, state = self.spec, self.state
        clock = Clock(state.step + 1, state.epoch, spec.total_steps, spec.steps_per_epoch)
        rate = self._optimizer.learning_rate * spec.schedule.multiplier(clock, state.memory.get(SCHEDULE, {}))
        return rate if memory["pairs"] else rate * min(1.0, 1.0 / float(np.abs(direction).sum()))

    def _line(self, order: Array, before: Array, buffers: Array | None, direction: Array) -> Line:
        """A function from length to value and slope at ``before - length * direction``.

        It sets the parameters and updates the buffers once.
        """
        parameters, gradient = self.state.parameters, self._new_gradient(order)

        def at(length: float) -> tuple[float, float]:
            np.multiply(direction, -length, out=parameters)
            np.add(parameters, before, out=parameters)
            self._restore(buffers)
            return self._value(order), -float(gradient @ direction)

        return at

    def _remember(self, order: Array, step: Array, found: Trial, memory: dict[str, float]) -> None:
        """Store the pair of this step, and value and gradient at its end.

        A pair without positive curvature comes from rounding and is left out: the estimate must stay positive definite.
        """
        new = self._new_gradient(order)
        change = new - self._gradient
        if float(step @ change) > _SMALLEST * float(change @ change):
            place = int(memory["pairs"]) % self._optimizer.history
            for ring, vector in zip(self._rings, (step, change), strict=True):
                ring[place][...] = vector
            memory["pairs"] += 1
        self._gradient[...] = new
        memory.update(value=found.value, largest=float(np.max(np.abs(new), initial=0.0)))
