"""One process's part of a run: it trains, writes the run's files, and records how the run ended."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np

from backprop_cli.config.config_warnings import config_warnings, data_warnings
from backprop_cli.config.configuration import Config
from backprop_cli.config.dump import to_yaml
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.errors import BpError, CheckError, InterruptionError, warnings_to
from backprop_cli.run.checkpoint import Checkpoint, Json
from backprop_cli.run.checkpointer import Checkpointer
from backprop_cli.run.directory import RunDirectory, resume_command
from backprop_cli.run.journal import Journal, lost_epochs, write_table
from backprop_cli.run.log import RunLog
from backprop_cli.run.settings import CheckpointSettings
from backprop_cli.session.baselines import FoundBaselines, baselines_of
from backprop_cli.session.calibration import calibrate_checkpoint, is_calibrated
from backprop_cli.session.data_changes import ACCEPT, changed
from backprop_cli.session.experiment import Experiment, network_metadata
from backprop_cli.session.final_metrics import final_metrics
from backprop_cli.session.outcome import Best, exit_code_of, outcome_lines, status_of
from backprop_cli.session.overfit import notice, shortfall
from backprop_cli.session.run_record import opening_record, timestamp
from backprop_cli.session.signals import ImmediateStop, StopRequest, stop_requests
from backprop_cli.session.verdict import doubts
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.events import Checking, Epoch, Event, Failed, Finished, Started, Step, Stopped, Warned
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import BEST, OVERFIT, State
from backprop_cli.training.training_spec import TrainingSpec

if TYPE_CHECKING:
    from backprop_cli.session.gradient_hook import GradientHook
    from backprop_cli.session.resumption import Resumption

OnEvent = Callable[[Event], None]


def _kept_checkpoints(config: Config) -> CheckpointSettings:
    """With ``restore_best: false`` no best checkpoint is kept: a run's name would stand for it instead of the last."""
    if config.early_stopping is None or config.early_stopping.restore_best:
        return config.checkpoint
    return config.checkpoint.model_copy(update={"keep_best": 0})


def first_warnings(
    experiment: Experiment, spec: TrainingSpec, is_resumed: bool, notices: Sequence[str] = ()
) -> Iterator[Warned]:
    """Warnings before the first step: of configuration and data in a new run, ``notices`` in a resumed one."""
    yield from map(Warned, notices)
    config = experiment.loaded.config
    if not is_resumed:
        found = [*config_warnings(experiment.loaded), *experiment.warnings, *data_warnings(experiment.loaded, spec)]
        yield from map(Warned, found)
    if config.training.overfit_batches is not None:
        yield Warned(notice(config, experiment.dataset))


class Session:
    """One process's part of a run, with its directory."""

    def __init__(
        self,
        experiment: Experiment,
        spec: TrainingSpec,
        state: State,
        run: RunDirectory,
        on_event: OnEvent,
        watch: Stopwatch,
        resumption: Resumption | None = None,
        notices: Sequence[str] = (),
    ):
        self.experiment, self.state, self.run = experiment, state, run
        self.config = experiment.loaded.config
        self.resumption, self.watch, self.notices = resumption, watch, notices
        self.trainer = Trainer(spec, state, watch)
        self.checkpointer = Checkpointer(run, _kept_checkpoints(self.config), state, self._content)
        self.gradient_hook = self._gradient_hook()
        self._network = network_metadata(
            experiment, spec.blas_threads, None if resumption is None else resumption.metadata
        )
        self._on_event = on_event
        self._log = RunLog(run.log, lambda text: on_event(Warned(text)))
        self._asked = StopRequest()
        self._ident = get_ident()
        self._late_warnings: list[str] = []
        self._journal: Journal | None = None
        self._record: dict[str, Any] = {}
        self.baselines = FoundBaselines()
        self._monitored: list[float] = []  # at the end of each epoch of this session

    def _gradient_hook(self) -> GradientHook | None:
        if self.config.gradient_check is None:
            return None
        # Imported here: the checks take 3 percent of all imports, and most runs have none.
        from backprop_cli.session.gradient_hook import GradientHook

        recipe = self.experiment.recipe
        return GradientHook(self.config.gradient_check, self.run, recipe, self.trainer, self._while_checking)

    def _content(self, state: State) -> Checkpoint:
        """The checkpoint of a copy of the state. The journal up to it is written to disk first."""
        if self._journal is not None:
            self._journal.sync()
        tensors = state.tensors(self.experiment.recipe)
        return Checkpoint(tensors, {**self._written_network, "state": state.counters()})

    @cached_property
    def _written_network(self) -> dict[str, Json]:
        return {key: Json(json.dumps(value)) for key, value in self._network.items()}

    def run_all(self) -> dict[str, float]:
        """Train to the end and return the final metrics; run.json always records how the run ended."""
        with self._log, stop_requests() as self._asked, warnings_to(self._warn):
            self._open_record()
            try:
                with Journal(self.run.journal, self.config.log.every_steps) as self._journal:
                    with self.watch("training"), self._saving():
                        self._train()
                    return self._finish()
            except ImmediateStop as signal:
                end = self._ended_at_once(signal.number)
                self._close_after(end)
                raise end from None
            except BaseException as error:
                self._close_after(error)
                raise

    def _close_after(self, error: BaseException) -> None:
        """Record in the run's files that ``error`` ended it. Further errors, as on a full disk, are ignored."""
        status = status_of(error)
        if isinstance(error, BpError) and status != "interrupted":
            with contextlib.suppress(BpError), Journal(self.run.journal) as journal:
                journal.write(Failed(self.state.step, self.state.epoch, status, str(error)))
        with contextlib.suppress(BpError):
            self._close_record(status, exit_code_of(error), {}, str(error) if isinstance(error, BpError) else None)
        with contextlib.suppress(BpError):
            write_table(self.run.journal, self.run.table)
        if isinstance(error, BpError):
            error.details = {"run_dir": str(self.run.path), "status": status}
            self._log.write(error.with_run())

    def _ended_at_once(self, number: int) -> InterruptionError:
        step = self.state.step
        on = f"; resume from the last checkpoint with: {self._resume_command()}" if self.run.last.exists() else ""
        return InterruptionError(f"ended at once at step {step}, before everything was saved{on}", number)

    def _resume_command(self) -> str:
        """The command that resumes this run with its current data."""
        is_changed = self.resumption is not None and changed(self.resumption.metadata, self.experiment.dataset.files)
        return resume_command(self.run.path) + (f" {ACCEPT}" if is_changed else "")

    def _emit(self, event: Event) -> None:
        assert self._journal is not None
        self._journal.write(event)
        self._show(event)

    def _show(self, event: Event) -> None:
        """Log an event, and pass it on."""
        self._log.show(event)
        self._on_event(event)

    def _warn(self, text: str) -> None:
        """Show a warning. One of the thread that writes checkpoints waits until this thread saves or ends."""
        if get_ident() == self._ident:
            self._show(Warned(text))
        else:
            self._late_warnings.append(text)

    def _show_late_warnings(self) -> None:
        while self._late_warnings:
            self._show(Warned(self._late_warnings.pop(0)))

    @contextlib.contextmanager
    def _saving(self) -> Iterator[None]:
        """Leave no checkpoint in memory when the block ends, unless a signal ends it at once."""
        try:
            yield
        except ImmediateStop:
            raise
        except BaseException:
            with contextlib.suppress(BpError):
                self.checkpointer.flush()
            raise
        else:
            self._flush()
        finally:
            self._show_late_warnings()

    def _flush(self) -> None:
        with self.watch("checkpoints"):
            self.checkpointer.flush()

    def _save(self, event: Event | None = None) -> None:
        with self.watch("checkpoints"):
            self.trainer.check_finite()
            saved = self.checkpointer.save(event)
        for each in saved:
            self._emit(each)
        self._show_late_warnings()

    def _train(self) -> None:
        state = self.state
        for warning in self._warnings():
            self._emit(warning)
        self._emit(self._started())
        self._go_back()
        self._find_best()
        if state.step == 0:
            self._remember_first_loss()
            self._check_gradients(None)
        self._stop_if_asked()
        if self.trainer.spec.compiled:
            self.trainer.warm_up()  # compiling takes seconds, which must not count in the first epoch
            if not self.trainer.spec.compiled:
                self._open_record()
        for event in self.trainer.run(self._periods()):
            self._emit(event)
            if isinstance(event, Epoch) and not event.partial:
                self._monitored.append(event.metrics.get(self.config.checkpoint.monitor, math.nan))
            if self.checkpointer.is_due(event):
                self._save(event)
            if isinstance(event, Step):
                self._check_gradients(event)
            self._stop_if_asked()
        if self.checkpointer.is_behind(state.step):
            self._save()

    def _remember_first_loss(self) -> None:
        """Store the first loss of an overfitting run, to compare it with the last."""
        if self.config.training.overfit_batches is not None:
            loss = self.trainer.evaluator.evaluate(self.trainer.spec.train)["loss"]
            self.state.memory[OVERFIT] = {"loss": loss}

    def _compare_with_first_loss(self, last: float) -> None:
        first = self.state.memory.get(OVERFIT, {}).get("loss")
        if first is not None:
            targets = np.asarray(self.experiment.dataset.train.targets)
            missed = shortfall(self.experiment.recipe, targets, first, last)
            if missed is not None:
                self._emit(Warned(missed))

    def _periods(self) -> list[int]:
        """Periods in steps: every multiple must be an event."""
        config = self.config
        asking = [config.log.every_steps, config.checkpoint.every_steps]
        if config.gradient_check is not None:
            asking += [config.gradient_check.every_steps, config.gradient_check.adjoint_every_steps]
        return [each for each in asking if each is not None]

    def _go_back(self) -> None:
        """When resuming from a checkpoint before the last, reset the run's checkpoints to its step."""
        if self.resumption is None or not self.resumption.is_older:
            return
        self.checkpointer.go_back(self.resumption.network.path, self.state.step)

    def _find_best(self) -> None:
        """Make ``best`` the remembered best checkpoint: a kill or other settings may have prevented that."""
        best_step = self.state.memory.get(BEST, {}).get("step")
        if not self.checkpointer.find_best(best_step):
            del self.state.memory[BEST]
            gone = f"the best checkpoint so far, of step {best_step}, is gone"
            self._emit(Warned(f"{gone}: the best is chosen among later ones"))

    def _check_gradients(self, step: Step | None) -> None:
        """Run the checks that are due after ``step``, or before the first one. Raises: CheckError."""
        with self.watch("gradient_check"):
            hook = self.gradient_hook
            if hook is None:
                return
            for event in hook.at_start() if step is None else hook.after(step):
                self._emit(event)
        if hook.failure is not None:
            self._save()
            self._flush()
            raise CheckError(hook.failure)

    def _while_checking(self, what: str, done: int, total: int) -> None:
        self._stop_if_asked()
        self.checkpointer.poll()
        self._on_event(Checking(self.state.step, done, total))

    def _stop_if_asked(self) -> None:
        """End if a signal asked for it. Called between events, where the state is exact."""
        if self._asked.number is None:
            return
        state = self.state
        self._save()
        self._flush()
        self._emit(Stopped(state.step, state.last_epoch, "interrupted"))
        raise InterruptionError(
            f"interrupted at step {state.step}; everything is saved; resume with: {self._resume_command()}",
            self._asked.number,
        )

    def _started(self) -> Started:
        spec, dataset = self.trainer.spec, self.experiment.dataset
        return Started(
            parameters=self.experiment.recipe.layout.size,
            examples={name: len(split) for name, split in dataset.splits.items()},
            batch_size=spec.settings.batch_size,
            epochs=spec.settings.epochs,
            steps_per_epoch=spec.steps_per_epoch,
            total_steps=spec.total_steps,
            threads=max(spec.blas_threads, spec.workers),
            step=self.state.step,
            epoch=self.state.epoch,
            run_dir=str(self.run.path),
            compiled=spec.compiled,
            split=self.config.data.split_text,
        )

    def _warnings(self) -> Iterator[Warned]:
        yield from first_warnings(self.experiment, self.trainer.spec, self.resumption is not None, self.notices)
        if self.resumption is not None and (lost := lost_epochs(self.run.journal, self.resumption.rows, self.epochs)):
            yield Warned(lost)

    def _finish(self) -> dict[str, float]:
        state, run, status = self.state, self.run, "finished"
        self._calibrate()
        metrics = final_metrics(self.experiment, self.trainer, run, self._network)
        self._compare_with_first_loss(metrics["train/loss"])
        self._judge(metrics)
        self._close_record(status, 0, metrics)
        self._emit(Finished(status, state.step, self.epochs, state.seconds, metrics, str(run.path)))
        write_table(run.journal, run.table)
        outcome = outcome_lines(run.path, self.checkpoints(), self.best(), metrics, *self.baselines)
        self._log.write("\n".join(outcome))
        return metrics

    def _calibrate(self) -> None:
        """Fit what the configuration asks for to the network of each kept checkpoint."""
        validation = self.experiment.dataset.validation
        if validation is None or (self.resumption is None and not is_calibrated(self.config)):
            return
        with self.watch("calibration"):
            for path in filter(Path.exists, (self.run.best, self.run.last)):
                calibrate_checkpoint(path, self.config, self.experiment.recipe, self.trainer.evaluator, validation)

    def _judge(self, metrics: Mapping[str, float]) -> None:
        """Compare the kept network with the baselines, and warn if something went wrong in training."""
        experiment, state = self.experiment, self.state
        with self.watch("baselines"):
            seen = self.epochs * len(experiment.dataset.train) + state.position
            self.baselines = baselines_of(self.config, experiment.dataset, experiment.recipe, seen)
        if self.config.training.overfit_batches is None:
            for text in doubts(self.config, metrics, self.baselines, self.best(), self._monitored):
                self._emit(Warned(text))

    def checkpoints(self) -> dict[str, str | None]:
        """Paths of ``best`` and ``last``; None for a missing file."""
        paths = {"best": self.run.best, "last": self.run.last}
        return {name: str(path) if path.exists() else None for name, path in paths.items()}

    @property
    def epochs(self) -> int:
        """Completed epochs."""
        return self.state.epoch - 1

    def best(self) -> Best | None:
        """The best epoch so far."""
        memory, monitor = self.state.memory.get(BEST, {}), self.trainer.spec.best
        if monitor is None or "value" not in memory:
            return None
        return Best(int(memory["epoch"]), int(memory["step"]), monitor.name, memory["value"])

    def _open_record(self) -> None:
        spec, run = self.trainer.spec, self.run
        self._record = opening_record(self.experiment, spec, self.state.step, self.resumption)
        run.write_record(self._record)
        run.write_text(run.resolved, to_yaml(resolved_tree(self.experiment.loaded, run.path)))

    def _close_record(
        self, status: str, exit_code: int, metrics: Mapping[str, float], reason: str | None = None
    ) -> None:
        self._record |= {
            "status": status,
            "exit_code": exit_code,
            "reason": reason,
            "end": timestamp(),
            "steps": self.state.step,
            "epochs": self.epochs,
            "seconds": self.state.seconds,
            "metrics": dict(metrics) or None,
            **({"baselines": self.baselines.metrics} if self.baselines.metrics else {}),
            "best": None if (best := self.best()) is None else best.to_json(),
            "timings": self.watch.seconds(),
        }
        self.run.write_record(self._record)
