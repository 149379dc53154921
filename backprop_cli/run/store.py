"""Which checkpoints a run keeps: the last, the best, and a few numbered ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from backprop_cli.errors import CheckpointError
from backprop_cli.run.atomic import reason, write_atomically
from backprop_cli.run.checkpoint import Checkpoint, save
from backprop_cli.run.directory import RunDirectory, step_checkpoints, way_out
from backprop_cli.run.settings import CheckpointSettings
from backprop_cli.training.events import Saved

Direction = Literal["min", "max"]


class CheckpointStore:
    """Saves checkpoints of one run and removes those that need not be kept.

    A checkpoint is written once, under its step's number; ``last`` and ``best`` are further names of the same file.
    Numbered files stay for the ``keep_last`` newest steps and the ``keep_best`` best ones. ``scores`` are the
    monitored values of the best steps kept so far (from an earlier part of the run, when it is resumed).
    """

    def __init__(
        self,
        run: RunDirectory,
        settings: CheckpointSettings,
        direction: Direction = "min",
        scores: Mapping[int, float] | None = None,
    ):
        self.run, self.settings = run, settings
        self._sign = 1.0 if direction == "min" else -1.0
        self.scores: dict[int, float] = dict(scores or {})

    @property
    def best(self) -> tuple[int, float] | None:
        """(step, value) of the best checkpoint; the earlier one of equals."""
        ranked = self._ranked()
        return (ranked[0], self.scores[ranked[0]]) if ranked else None

    def is_best(self, value: float | None) -> bool:
        """Whether a checkpoint with this monitored value would be the best; NaN and None never are."""
        if value is None or value != value or not self.settings.keep_best:
            return False
        return self.best is None or self._sign * value < self._sign * self.best[1]

    def save(self, checkpoint: Checkpoint, step: int, value: float | None = None) -> list[Saved]:
        """Save ``checkpoint`` of ``step`` with its monitored value (None: not measured there).

        Killed at any point, every name is a whole checkpoint, the old one or the new one.

        Raises: CheckpointError when it cannot be written; what was saved before stays.
        """
        best = self.is_best(value)
        path = self.run.at_step(step)
        save(path, checkpoint)
        saved = [self._name(self.run.last, path, step, "last")]
        if value is not None and value == value:
            self.scores[step] = value
        if best:
            saved.append(self._name(self.run.best, path, step, "best"))
        kept = self._prune()
        return [*saved, Saved(step, "step", str(path))] if step in kept else saved

    def forget_after(self, step: int) -> None:
        """Drop what lies beyond ``step``: the run goes on from there."""
        for number, path in step_checkpoints(self.run.checkpoints).items():
            if number > step:
                path.unlink(missing_ok=True)
        self.scores = {number: value for number, value in self.scores.items() if number <= step}

    def _ranked(self) -> list[int]:
        return sorted(self.scores, key=lambda step: (self._sign * self.scores[step], step))

    def _prune(self) -> set[int]:
        """Remove the numbered checkpoints that need not be kept; returns those that are."""
        numbered = step_checkpoints(self.run.checkpoints)
        best = self._ranked()[: self.settings.keep_best]
        newest = list(numbered)[-self.settings.keep_last :] if self.settings.keep_last else []
        kept = {*best, *newest}
        self.scores = {step: self.scores[step] for step in best}
        for step, path in numbered.items():
            if step not in kept:
                with contextlib.suppress(OSError):  # one too many does no harm
                    path.unlink()
        return kept

    def _name(self, name: Path, path: Path, step: int, kind: str) -> Saved:
        """Let ``name`` be ``path``'s file, atomically."""
        try:
            _link(path, name)
        except OSError as error:
            raise CheckpointError(f"{name}: cannot be written: {reason(error)}; {way_out(self.run.path)}") from error
        return Saved(step, kind, str(name))


def _link(source: Path, name: Path) -> None:
    """A second name for a file, replacing what had the name; a copy where the file system has no hard links."""
    temporary = name.with_name(f".{name.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        write_atomically(name, source.read_bytes())
        return
    temporary.replace(name)
    # Renaming one of two names of the same file to the other does nothing and leaves both.
    temporary.unlink(missing_ok=True)
