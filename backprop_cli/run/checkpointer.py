"""Checkpointer: which checkpoints a run writes and keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backprop_cli.run.checkpoint import Checkpoint, link, save
from backprop_cli.run.directory import RunDirectory, step_checkpoints
from backprop_cli.run.settings import CheckpointSettings
from backprop_cli.training.events import Epoch, Event, Saved, Step


class Checkpointer:
    """Reads events and saves the run's state when it is due.

    ``last`` is always the newest; the one it replaces becomes a numbered checkpoint, of which ``keep_last`` stay.
    ``best`` is a second name of a last one: no best checkpoint is newer than the state a run would go on from.

    Raises:
        CheckpointError: from every method that writes, when the disk is full; what was saved before stays.

    """

    def __init__(self, run: RunDirectory, settings: CheckpointSettings, content: Callable[[], Checkpoint], step: int):
        self.run, self.settings, self._content = run, settings, content
        self._last_step: int | None = step if run.last.exists() else None

    def read(self, event: Event) -> Iterator[Event]:
        """Save if this event asks for it, and say so."""
        settings = self.settings
        if isinstance(event, Step) and settings.every_steps is not None and event.step % settings.every_steps == 0:
            yield self.save_last(event.step)
        if isinstance(event, Epoch):
            is_due = settings.every_epochs is not None and event.epoch % settings.every_epochs == 0
            is_best = event.improved and settings.keep_best > 0
            if is_due or is_best:
                yield self.save_last(event.step)
            if is_best:
                yield self._save_best(event.step)

    def save_last(self, step: int) -> Saved:
        """Write the state as ``last.safetensors``; at a step that is saved already it is written over."""
        run, keep = self.run, self.settings.keep_last
        if keep and self._last_step is not None and self._last_step != step:
            # A second name, so that there is a last checkpoint at every instant.
            link(run.last, run.at_step(self._last_step))
        save(run.last, self._content())
        for old in list(step_checkpoints(run.checkpoints).values())[: -keep or None]:
            old.unlink(missing_ok=True)
        self._last_step = step
        return Saved(step, "last", str(run.last))

    def repair(self, best_step: float | None) -> None:
        """Name the last checkpoint the best where it is, at ``best_step``, and a kill came before that was done."""
        if self.settings.keep_best and self._last_step is not None and self._last_step == best_step:
            link(self.run.last, self.run.best)

    def is_behind(self, step: int) -> bool:
        """Whether ``last`` is of an earlier step, or missing."""
        return self._last_step != step

    def _save_best(self, step: int) -> Saved:
        """Name the last checkpoint, which is that of ``step``, the best."""
        run = self.run
        if self.settings.keep_best > 1 and run.best.exists():
            self._shift_best()
        link(run.last, run.best)
        return Saved(step, "best", str(run.best))

    def _shift_best(self) -> None:
        """The best so far becomes ``best-2``, that one ``best-3``, up to ``keep_best``."""
        numbers = range(2, self.settings.keep_best + 1)
        names = [self.run.best, *(self.run.checkpoints / f"best-{n}.safetensors" for n in numbers)]
        for worse, better in zip(names[:0:-1], names[-2::-1], strict=True):
            if better.exists():
                better.replace(worse)
