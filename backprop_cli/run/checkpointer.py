"""Checkpointer: which checkpoints a run writes and keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from backprop_cli.errors import CheckpointError, warn
from backprop_cli.run.atomic import reason, remove, rename, sync_folder
from backprop_cli.run.checkpoint import Checkpoint, link, load, save
from backprop_cli.run.directory import RunDirectory, step_checkpoints
from backprop_cli.run.save_queue import SaveQueue, Unsaved
from backprop_cli.run.settings import CheckpointSettings
from backprop_cli.training.events import Epoch, Event, Saved, Step
from backprop_cli.training.state import State

_SUPERSEDED = "superseded-"


def step_of(path: Path) -> int | None:
    """The step of the checkpoint ``path``; None if it is not a whole checkpoint of a run."""
    try:
        state = load(path).metadata.get("state")
    except CheckpointError:
        return None
    step = state.get("step") if isinstance(state, dict) else None
    return step if isinstance(step, int) else None


def newest_whole(run: RunDirectory, but: Path) -> Path | None:
    """The run's readable checkpoint with the highest step, except ``but``; ``last`` wins a tie."""
    paths = [path for path in sorted(run.checkpoints.glob("*.safetensors")) if path != but]
    current = [path for path in paths if not path.name.startswith(_SUPERSEDED)]
    steps = {path: step for path in current if (step := step_of(path)) is not None}
    return max(steps, key=lambda path: (steps[path], path == run.last), default=None)


def _supersede(path: Path) -> None:
    if path.name.startswith(_SUPERSEDED):
        return
    _move(path, path.with_name(_SUPERSEDED + path.name))


def _move(path: Path, target: Path) -> None:
    """Rename a checkpoint; warn if that fails."""
    try:
        rename(path, target)
    except OSError as error:
        warn(f"{path}: cannot be renamed to {target.name}: {reason(error)}; the run continues")


class Checkpointer:
    """Reads events, and saves the run's state when it is due: first in memory, then in files (see ``SaveQueue``).

    ``last`` is always the newest. The one it replaces becomes numbered; ``keep_last`` numbered checkpoints stay.
    ``best`` is a second name of a last one: no best checkpoint is newer than the state a run would resume from.

    ``content``: the checkpoint of a copy of ``state``; it may be called in another thread.

    Raises:
        CheckpointError: from every method that saves, when the disk is full; what was written before stays.

    """

    def __init__(
        self, run: RunDirectory, settings: CheckpointSettings, state: State, content: Callable[[State], Checkpoint]
    ):
        self.run, self.settings, self._state, self._content = run, settings, state, content
        self._last_path, self._best_path = str(run.last), str(run.best)
        self._queue = SaveQueue(self._write, settings.keep_last, settings.keep_best)
        self._last_step: int | None = state.step if run.last.exists() else None
        self._saved_step = self._last_step
        self._newest = run.last
        self._is_best_old = False

    def poll(self) -> None:
        """Start to write what is saved in memory only, if that is due."""
        self._queue.poll()

    def is_due(self, event: Event) -> bool:
        """Whether ``save`` is due at this event. Polls as well."""
        self._queue.poll()
        if isinstance(event, Step):
            number, every = event.step, self.settings.every_steps
        elif isinstance(event, Epoch):
            number, every = event.epoch, self.settings.every_epochs
        else:
            return False
        return (every is not None and number % every == 0) or self._is_best(event)

    def _is_best(self, event: Event) -> bool:
        return isinstance(event, Epoch) and event.improved and self.settings.keep_best > 0

    def save(self, event: Event | None = None) -> Sequence[Saved]:
        """Save the state as the last checkpoint, and as the best if ``event`` is an epoch that improved.

        It is in a file about a second later, or after ``flush``.
        """
        is_best = event is not None and self._is_best(event)
        step = self._saved_step = self._state.step
        self._queue.put(self._state, is_best)
        saved = [Saved(step, "last", self._last_path)]
        return [*saved, Saved(step, "best", self._best_path)] if is_best else saved

    def flush(self) -> None:
        """Write what is saved in memory only."""
        self._queue.flush()

    def _write(self, unsaved: Unsaved, is_last: bool) -> None:
        """Write a copy of the state as ``last.safetensors``. A checkpoint of the same step is overwritten.

        If the old one cannot be replaced, the new one is the numbered checkpoint of its step.
        Its name is on the disk before it becomes the best, and before (``is_last``) older ones are deleted.
        """
        run, keep, last, step = self.run, self.settings.keep_last, self.run.last, unsaved.state.step
        if keep and self._last_step is not None and self._last_step != step and self._newest == last:
            # A second name, so that there is a last checkpoint at every instant.
            link(last, run.at_step(self._last_step))
        self._newest = save(last, self._content(unsaved.state), otherwise=run.at_step(step))
        if unsaved.is_best or is_last:
            sync_folder(last.parent)
        if self._last_step is None:
            run.point_latest()
        self._last_step = step
        if unsaved.is_best:
            self._save_best()
        if is_last:
            numbered = [path for path in step_checkpoints(last.parent).values() if path != self._newest]
            for old in numbered[: -keep or None]:
                remove(old)

    def go_back(self, source: Path, step: int) -> None:
        """Make ``source``, an older checkpoint of ``step``, the last one.

        Later checkpoints no longer belong to the run: they are renamed to ``superseded-...``.
        """
        run = self.run
        steps = {path: step_of(path) for path in sorted(run.checkpoints.glob("*.safetensors"))}
        for path, found in steps.items():
            if path != source and found is not None and found > step:
                _supersede(path)
        self._newest = run.last if link(source, run.last) else source
        self._last_step = self._saved_step = step

    def find_best(self, best_step: float | None) -> bool:
        """Make the checkpoint of ``best_step`` the best one; False if it no longer exists.

        It may have another name if the process was killed before it was renamed. Without a ``best_step`` an earlier
        best checkpoint stays until there is a new one. If ``keep_best`` is 0, it is set aside.
        """
        run = self.run
        if not self.settings.keep_best:
            self._set_best_aside()
            return True
        if run.best.exists():
            remove(self._best_names[-1])  # a kill left it there
        if best_step is None:
            self._is_best_old = run.best.exists()
        elif (there := step_of(run.best)) != best_step:
            if self._last_step == best_step:
                self._name_best(is_whole=there is not None)
                return True
            paths = sorted(run.checkpoints.glob("*.safetensors"))
            same = next((path for path in paths if step_of(path) == best_step), None)
            if same is None:
                self._set_best_aside()
                return False
            link(same, run.best)
        return True

    def _set_best_aside(self) -> None:
        for path in self.run.checkpoints.glob("best*.safetensors"):
            _supersede(path)
        self._is_best_old = False

    def is_behind(self, step: int) -> bool:
        """Whether the last checkpoint was saved at an earlier step, or is missing."""
        return self._saved_step != step

    def _save_best(self) -> None:
        """Make the last checkpoint the best one.

        Without a sync: ``find_best`` repeats this on resume if a power cut undid it.
        """
        if self._is_best_old:
            self._set_best_aside()
        self._name_best()

    def _name_best(self, is_whole: bool = True) -> None:
        if is_whole and self.settings.keep_best > 1:
            self._shift_best()
        link(self._newest, self.run.best)
        remove(self._best_names[-1])

    @property
    def _best_names(self) -> list[Path]:
        """Those that are kept, and one more: the last of them moves there until there is a new best."""
        numbers = range(2, self.settings.keep_best + 2)
        return [self.run.best, *(self.run.checkpoints / f"best-{n}.safetensors" for n in numbers)]

    def _shift_best(self) -> None:
        """Rename the best so far to ``best-2``, ``best-2`` to ``best-3``, ...; a kill leaves as many as before.

        From the end, and only up to the first free name: if a kill between two renames left a gap, the next call closes
        it and moves nothing twice.
        """
        names = self._best_names
        free = next((n for n, path in enumerate(names) if not path.exists()), len(names) - 1)
        for place in range(free, 0, -1):
            _move(names[place - 1], names[place])
