"""The training loop: a generator of events. It prints nothing and saves nothing."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Collection, Iterator

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.errors import warn
from backprop_cli.execution.compiler import CompilationError
from backprop_cli.nn.metric import Predictions
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.events import Epoch, Event, Step, Stopped
from backprop_cli.training.full_batch_updates import FullBatchUpdates
from backprop_cli.training.running_epoch import RunningEpoch
from backprop_cli.training.state import BEST, EARLY_STOPPING, EPOCH, SCHEDULE, State
from backprop_cli.training.training_spec import TrainingSpec
from backprop_cli.training.updates import Updates, diverged

HEARTBEAT_SECONDS = 0.02
"""Most seconds between two events, unless one update or evaluation takes longer. Readers of events draw progress and
react to Ctrl-C."""


class Trainer:
    """Trains by a spec from a state, which it advances in place.

    At every event the state is exact: a checkpoint made of it continues with the same bits.
    """

    def __init__(self, spec: TrainingSpec, state: State, watch: Stopwatch | None = None):
        self._watch = watch = watch or Stopwatch()
        self.spec, self.state = spec, state
        self.evaluator = Evaluator(spec.recipe, state.evaluated, spec.metrics, spec.untransform, watch)
        self._updates = self._new_updates()
        state.position = min(state.position, len(spec.train.inputs))  # the data of a resumed run may be smaller
        self._started = 0.0
        self._finite_at: int | None = None  # the step whose numbers are known to be finite

    def _new_updates(self) -> Updates:
        kind = FullBatchUpdates if isinstance(self.spec.recipe.optimizer, FullBatch) else Updates
        return kind(self.spec, self.state, self._watch)

    @property
    def batch(self) -> Array:
        """Indexes of the examples in the last update, or before it in the epoch's first batch."""
        batch = self._updates.batch
        return self.spec.order(self.state.epoch)[: self.spec.settings.batch_size] if batch is None else batch

    def warm_up(self) -> None:
        """Trace and plan the steps of an epoch, and take none.

        Steps that ``training.compile: auto`` would compile run on NumPy if that fails, with a warning.

        Raises: CompilationError for ``training.compile: true``.
        """
        try:
            self._updates.warm_up()
        except CompilationError as error:
            if self.spec.settings.compile != "auto":
                raise
            warn(f"the steps run on NumPy: {error.reason}")
            self.spec = dataclasses.replace(self.spec, compiled=False)
            self._updates = self._new_updates()
            self._updates.warm_up()

    def check_finite(self) -> None:
        """Check parameters and buffers: the last update may have overflowed, which no loss shows yet.

        Raises:
            DivergenceError: a parameter or buffer is not finite; the message names it.

        """
        if self._finite_at == self.state.step:
            return
        for vector, numbers in self.state.network.items():
            finite = np.isfinite(numbers)
            if not finite.all():
                place = int(np.argmin(finite))
                name, index = self.spec.recipe.layout_of(vector).name_at(place)
                raise diverged(self.state, f"{name}{list(index)} is {numbers[place]:g}")
        self._finite_at = self.state.step

    def run(self, every: Collection[int] = (1,)) -> Iterator[Event]:
        """Train until the planned end, early stopping or a limit.

        On a small network an event takes as long as an update, so not every update is an event. A ``Step`` comes after
        each update whose number is a multiple of a number in ``every``, after the last update of an epoch, and after
        ``HEARTBEAT_SECONDS`` without an event. The clock of the run continues from ``state.seconds``. ``max_seconds``
        is checked after a step, so there is always one step.

        Raises:
            DivergenceError: loss, gradient, a parameter or (after an epoch) the validation loss is no longer finite;
                the state is the one after that step.

        """
        spec, state = self.spec, self.state
        self._started = time.perf_counter() - state.seconds
        while state.epoch <= spec.settings.epochs:
            reason = self._limit() or self._patience() or self._updates.ended()
            if reason:
                yield Stopped(state.step, state.last_epoch, reason)
                return
            epoch = RunningEpoch(spec, state)
            started = time.perf_counter()
            with spec.during(state.epoch, epoch.order):
                while state.position < len(epoch.order) and not self._limit():
                    yield self._step(epoch, every)
            if state.position > 0:
                yield self._close_epoch(epoch, time.perf_counter() - started)

    def _step(self, epoch: RunningEpoch, every: Collection[int]) -> Step:
        """Update until the next event."""
        state, settings, now = self.state, self.spec.settings, time.perf_counter()
        until = min(((state.step // period + 1) * period for period in every), default=math.inf)
        numbers = self._updates.run(
            epoch,
            min(until, settings.max_steps or math.inf),
            min(now + HEARTBEAT_SECONDS, self._started + (settings.max_seconds or math.inf)),
        )
        state.seconds = time.perf_counter() - self._started
        return Step(state.step, state.epoch, *numbers, state.seconds)

    def _limit(self) -> str:
        settings, state = self.spec.settings, self.state
        if settings.max_steps is not None and state.step >= settings.max_steps:
            return f"max_steps: {settings.max_steps} steps are done"
        if settings.max_seconds is not None and state.seconds >= settings.max_seconds:
            return f"max_seconds: {settings.max_seconds:g} s are over"
        return ""

    def _patience(self) -> str:
        monitor = self.spec.early_stopping
        memory = self.state.memory.get(EARLY_STOPPING, {})
        if monitor is None or not monitor.is_out_of_patience(memory):
            return ""
        waited = f"{memory['waited']:g} epoch{'' if memory['waited'] == 1 else 's'}"
        if "value" not in memory:
            return f"early stopping: {monitor.name} was never a number in {waited}"
        return f"early stopping: {monitor.name} has not improved on {memory['value']:.6g} for {waited}"

    def _close_epoch(self, running: RunningEpoch, seconds: float) -> Epoch:
        state = self.state
        epoch, partial = state.epoch, state.position < len(running.order)
        self.check_finite()
        metrics = self._epoch_metrics(running, seconds)
        held_out = metrics.get("validation/loss", 0.0)
        if not math.isfinite(held_out):
            raise diverged(state, f"validation loss {held_out:g}")
        improved = False
        if not partial:
            improved = self._remember(metrics, epoch)
            del state.memory[EPOCH]
            state.epoch, state.position, state.tokens = epoch + 1, 0, None
        state.seconds = time.perf_counter() - self._started
        return Epoch(state.step, epoch, state.seconds, metrics, partial, improved)

    def _epoch_metrics(self, running: RunningEpoch, seconds: float) -> dict[str, float]:
        spec = self.spec
        means = running.means()
        found = {"train/loss": means["train/loss"]}
        if spec.recipe.penalties:
            found["train/regularization"] = means["train/regularization"]
        found |= {f"train/{name}": value for name, value in self._train_metrics(running).items()}
        if spec.validation is not None:
            found |= {f"validation/{name}": v for name, v in self.evaluator.evaluate(spec.validation).items()}
        found |= {name: means[name] for name in ("learning_rate", "gradient_norm")}
        found["examples_per_second"] = running.examples / seconds if seconds > 0 else 0.0
        return found

    def _train_metrics(self, running: RunningEpoch) -> dict[str, float]:
        part = running.predicted
        if running.tokens is not None:
            return self.evaluator.measure(Predictions.of_tokens(running.tokens))
        if self.state.predictions is None or part.start == part.stop:
            return {}
        train, seen = self.spec.train, running.order[part]
        exact = None if train.exact is None else train.exact[seen]
        return self.evaluator.measure(
            self.evaluator.predictions(self.state.predictions[part], train.targets[seen], exact)
        )

    def _remember(self, metrics: dict[str, float], epoch: int) -> bool:
        spec, state, memory = self.spec, self.state, self.state.memory
        memory[SCHEDULE] = spec.schedule.observe(memory.get(SCHEDULE, spec.schedule.start()), metrics)
        improved = False
        if spec.early_stopping is not None:
            before = memory.get(EARLY_STOPPING, {})
            memory[EARLY_STOPPING], _ = spec.early_stopping.observe(before, metrics, state.step, epoch)
        if spec.best is not None:
            memory[BEST], improved = spec.best.observe(memory.get(BEST, {}), metrics, state.step, epoch)
        return improved
