"""Updates of an optimizer that sees all examples at once, and asks for loss and gradient as often as it likes."""

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
from backprop_cli.training.updates import Numbers, Updates, diverged

_SMALLEST = 1e-10
"""A step is remembered where its curvature ``s^T y / y^T y`` is more than this share of the step it would suggest."""


class FullBatchUpdates(Updates):
    """Iterations of a ``FullBatch`` optimizer, each an update on the whole train split.

    ``state.memory["full_batch"]``: ``pairs`` of a step and a change remembered so far, of which the last ``history``
    are kept; ``value`` of the objective (loss with penalties) where the parameters are, ``largest`` entry of its
    gradient there, and whether it has ``stalled``: no step lowers it.
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
        """Converged, or no further in this precision."""
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

    def run(self, epoch: RunningEpoch, until: float, deadline: float) -> Numbers:
        """One iteration, whatever ``until`` and ``deadline`` say: an epoch has no more. The state is exact afterwards.

        Returns the numbers at the new parameters.

        Raises:
            DivergenceError: the loss or a gradient is not finite where training begins.

        """
        state, count = self.state, len(epoch.order)
        with np.errstate(all="ignore"):
            memory = state.memory.get(FULL_BATCH) or self._begin(epoch.order)
            length = self._descend(epoch.order, memory) if memory["largest"] > self._optimizer.tolerance else 0.0
            numbers = self._told(epoch, length)
        totals, (loss, penalty, norm, rate, _) = epoch.totals, numbers
        bound = self.bind(count, updates=True)
        epoch.add_batch(0, count, loss * bound.counted(), bound.counted(), bound.predictions)
        totals.update(penalty=totals["penalty"] + penalty, norm=totals["norm"] + norm, rate=rate)
        totals["steps"] += 1
        state.step, state.position, self.batch = state.step + 1, count, epoch.order
        return numbers

    def _told(self, epoch: RunningEpoch, length: float) -> Numbers:
        """Of the plan's last run, which is that at the parameters."""
        outputs = self.bind(len(epoch.order), updates=True).outputs
        loss, penalty, norm = (outputs[name].item() for name in (LOSS, REGULARIZATION, GRADIENT_NORM))
        return loss, penalty, norm, length, len(epoch.order)

    def _begin(self, order: Array) -> dict[str, float]:
        """Value and gradient where training begins."""
        buffers = self._kept_buffers()
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
        """The objective where the parameters are."""
        bound = self.bind(len(order), updates=True)
        bound.run(order, 0)
        return float(bound.outputs[LOSS]) + float(bound.outputs[REGULARIZATION])

    def _kept_buffers(self) -> Array | None:
        return None if self._buffers is None else self._buffers.copy()

    def _restore(self, buffers: Array | None) -> None:
        """The buffers as they were: a step updates them once, however often the plan runs."""
        if self._buffers is not None and buffers is not None:
            np.copyto(self._buffers, buffers)

    def _new_gradient(self, order: Array) -> Array:
        return self.bind(len(order), updates=True).outputs[GRADIENT]

    def _descend(self, order: Array, memory: dict[str, float]) -> float:
        """Step as far as the line search says, and remember the step; the step's length, 0 where there is none.

        Where no step is found along the direction, what is remembered misleads: it is forgotten, and the gradient is
        tried.
        """
        parameters, before = self.state.parameters, self.state.parameters.copy()
        buffers = self._kept_buffers()
        for direction in self._directions(memory):
            line = self._line(order, before, buffers, direction)
            slope = -float(self._gradient @ direction)
            search = WolfeSearch(line, memory["value"], slope, self._optimizer.max_line_search)
            found = search.find(self._first_length(memory, direction)) if slope < 0 else None
            if found is not None:
                if search.last is not found:
                    line(found.length)  # the plan, the parameters and the buffers are to be those of this one
                self._remember(order, parameters - before, found, memory)
                return found.length
        parameters[...] = before
        self._value(order)
        self._restore(buffers)
        memory["stalled"] = 1
        return 0.0

    def _directions(self, memory: dict[str, float]) -> Iterator[Array]:
        """To step against: the optimizer's, then the gradient."""
        if memory["pairs"]:
            yield self._optimizer.direction(self._gradient, *self._pairs(int(memory["pairs"])))
            memory["pairs"] = 0
        yield self._gradient

    def _pairs(self, pairs: int) -> list[list[Array]]:
        """The steps and the changes remembered, oldest first."""
        history = self._optimizer.history
        return [[ring[k % history] for k in range(max(0, pairs - history), pairs)] for ring in self._rings]

    def _first_length(self, memory: dict[str, float], direction: Array) -> float:
        """1 is Newton's step; a gradient says nothing of how far, so that its step is of length 1 at most."""
        spec, state = self.spec, self.state
        clock = Clock(state.step + 1, state.epoch, spec.total_steps, spec.steps_per_epoch)
        rate = self._optimizer.learning_rate * spec.schedule.multiplier(clock, state.memory.get(SCHEDULE, {}))
        return rate if memory["pairs"] else rate * min(1.0, 1.0 / float(np.abs(direction).sum()))

    def _line(self, order: Array, before: Array, buffers: Array | None, direction: Array) -> Line:
        """Value and slope at ``before - length * direction``: the parameters become that, buffers those of one run."""
        parameters, gradient = self.state.parameters, self._new_gradient(order)

        def at(length: float) -> tuple[float, float]:
            np.multiply(direction, -length, out=parameters)
            np.add(parameters, before, out=parameters)
            self._restore(buffers)
            return self._value(order), -float(gradient @ direction)

        return at

    def _remember(self, order: Array, step: Array, found: Trial, memory: dict[str, float]) -> None:
        """The pair of this step, and value and gradient at its end. Where the slope did not rise along it, rounding
        made it: the estimate would not stay positive.
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
