"""The journal: the events of a run, one JSON object a line, append-only."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from backprop_cli.errors import CheckpointError, warn
from backprop_cli.files import open_own, read_regular
from backprop_cli.registry import snake_case
from backprop_cli.run.atomic import NotReplacedError, close, reason, sync_folder, write_atomically
from backprop_cli.run.directory import finite, resume_command, way_out
from backprop_cli.training.events import Event, Step, Warned
from backprop_cli.visible import shortened

Row = dict[str, Any]
_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode

STEP_METRICS = {"loss": "train/loss", "regularization": "train/regularization"}
"""Full names of a step's metrics."""


class Journal:
    """Appends events to ``path``; the system has each line when ``write`` returns.

    A line has ``event`` (``epoch``, ``started``, ``gradient_checked``, ...), ``step``, the event's other fields, and
    its metrics under their full names (``validation/loss``). NaN and infinities are null.
    ``Step`` events are kept every ``every_steps`` steps (None: never). Warnings go to the log only.
    """

    def __init__(self, path: Path, every_steps: int | None = None):
        self.path = path
        self._every = every_steps
        self._has_unsynced = True
        try:
            descriptor = open_own(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            # Unbuffered: each line is one system call, so that a kill tears at most that line.
            self._file = os.fdopen(descriptor, "r+b", buffering=0, closefd=False)
            _drop_torn_line(self._file)
        except OSError as error:
            raise self._failure(error) from error
        sync_folder(path.parent)

    def write(self, event: Event) -> None:
        """Append ``event``.

        Raises: CheckpointError when it cannot be written (a full disk); earlier lines stay whole.
        """
        if type(event) is Step and (self._every is None or event.step % self._every):
            return
        if isinstance(event, Warned):
            return
        text = _to_json(to_row(event)) + "\n"
        line = text.encode("utf-8", "backslashreplace")  # a lone surrogate in a path becomes JSON's escape
        rest = memoryview(line)
        try:
            while rest:  # a disk that fills up takes only the start of a line
                rest = rest[self._file.write(rest) :]
            self._has_unsynced = True
        except OSError as error:
            with contextlib.suppress(OSError):
                size = os.fstat(self._file.fileno()).st_size
                os.ftruncate(self._file.fileno(), size - (len(line) - len(rest)))
            raise self._failure(error) from error

    def sync(self) -> None:
        """Flush all lines to disk. Call this before writing a checkpoint: it must not be ahead of the journal.

        Another thread may write lines meanwhile. Raises: CheckpointError if that fails.
        """
        if not self._has_unsynced:
            return
        self._has_unsynced = False  # first: a line that is written meanwhile sets it again
        try:
            _flush(self._file.fileno())
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Sync the file to disk and close it; a second call does nothing. Warns if syncing fails."""
        if self._file.closed:
            return
        descriptor = self._file.fileno()
        try:
            _flush(descriptor)
        except OSError as error:
            warn(f"{self.path}: its last lines may not be on the disk: {reason(error)}")
        self._file.close()
        close(descriptor, self.path)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _failure(self, error: OSError) -> CheckpointError:
        return CheckpointError(f"{self.path}: cannot be written: {reason(error)}; {way_out(self.path.parent)}")


def to_row(event: Event) -> Row:
    """The journal line of an event, as a JSON-ready object."""
    fields = event._asdict()
    if isinstance(event, Step):
        fields |= {full: fields.pop(name) for name, full in STEP_METRICS.items()}
    metrics = fields.pop("metrics", {})
    row = {"event": snake_case(type(event).__name__), "step": fields.pop("step", None), **fields, **metrics}
    return {key: finite(value) for key, value in row.items()}


def read_journal(path: Path) -> list[Row]:
    """The valid rows, in order.

    A ``started`` row at step s supersedes earlier rows beyond s: the run resumed from an older checkpoint. A last line
    torn by a kill is left out.

    Raises: CheckpointError if the file cannot be read or any line except the last is damaged.
    """
    try:
        content = read_regular(path)
    except OSError as error:
        raise CheckpointError(f"{path}: the journal cannot be read: {reason(error)}") from error
    rows: list[Row] = []
    # Text in JSON has no raw line ends, so every kind of line end separates rows.
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        try:
            row = _parse(line)
            if row is not None:
                _append(rows, row)
        except ValueError as error:
            if line.endswith((b"\n", b"\r")):
                way_on = f"delete that line, then resume with: {resume_command(path.parent)}"
                raise CheckpointError(f"{path}:{number}: {error}; {way_on}") from error
    return rows


def _append(rows: list[Row], row: Row) -> None:
    """Append a row. A ``started`` row first removes rows of later steps. Raises: ValueError if steps decrease."""
    step = row["step"]
    while row["event"] == "started" and rows and rows[-1]["step"] > step:
        rows.pop()
    if rows and rows[-1]["step"] > step:
        raise ValueError(f"step {step} comes after step {rows[-1]['step']}")
    rows.append(row)


def seconds_until(rows: Sequence[Row], step: int) -> float:
    """Seconds spent on a run up to ``step``: those of the last row with seconds, or 0."""
    counted = [row for row in rows if row["event"] in _TIMED]
    return next((float(row["seconds"]) for row in reversed(counted) if row["step"] <= step), 0.0)


def lost_epochs(path: Path, rows: Sequence[Row], done: int) -> str:
    """The warning for a journal that lacks some of the ``done`` epochs of its checkpoint; empty if none is missing."""
    there = {row["epoch"] for row in rows if row["event"] == "epoch" and row["epoch"] <= done}
    if len(there) == done and rows:
        return ""
    first = next(epoch for epoch in itertools.count(1) if epoch not in there)
    lost = f"{done - len(there)} of {done} epochs, epoch {first} first" if len(there) < done else "its first line"
    return f"{path}: has lost {lost}, as after a power cut: the checkpoint is newer; metrics.csv lacks them"


def write_table(journal_path: Path, csv_path: Path) -> None:
    """The journal's epochs as CSV: ``step`` first, then ``epoch``, ``seconds`` and the metrics; numbers only.

    Missing and null values are ``nan``. If an epoch ended twice, because a run resumed in it, the last row counts.

    Raises: CheckpointError if the journal cannot be read or the table cannot be written.
    """
    epochs = list({row["epoch"]: row for row in read_journal(journal_path) if row["event"] == "epoch"}.values())
    named = dict.fromkeys(key for row in epochs for key, value in row.items() if _is_number_or_null(value))
    columns = list(dict.fromkeys(["step", "epoch", "seconds", *named]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in epochs:
        cells = (row.get(column) for column in columns)
        writer.writerow(math.nan if cell is None else cell for cell in cells)
    try:
        write_atomically(csv_path, text.getvalue().encode("utf-8", "backslashreplace"))
    except NotReplacedError as error:
        warn(f"{csv_path}: cannot be replaced: {reason(error)}; it is out of date")
    except OSError as error:
        raise CheckpointError(f"{csv_path}: cannot be written: {reason(error)}; {way_out(csv_path.parent)}") from error


_TIMED = ("step", "epoch", "finished")
"""Events that have the seconds of the run so far."""
_FLAGS = ("partial", "improved")


def _parse(line: bytes) -> Row | None:
    """The line's object; None for an empty line.

    Raises: ValueError, with the reason, if ``Journal.write`` cannot have written it.
    """
    if not line.strip():
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, got {line[:40].rstrip().decode('utf-8', 'replace')!r}")
    event = row.get("event")
    if not isinstance(event, str):
        raise ValueError(f"event: expected a name, got {_shown(row, 'event')}")
    for key in ("step", "epoch") if event == "epoch" else ("step",):
        if not _is_count(row.get(key)):
            raise ValueError(f"{key}: expected a count, got {_shown(row, key)}")
    if event in _TIMED and not _is_seconds(row.get("seconds")):
        raise ValueError(f"seconds: expected a number of at least 0, got {_shown(row, 'seconds')}")
    if event in ("step", "epoch"):
        for key, value in row.items():
            if key not in ("event", *_FLAGS) and not _is_number_or_null(value):
                raise ValueError(f"{key}: expected a number, got {_shown(row, key)}")
    return row


def _shown(row: Row, key: str) -> str:
    if key not in row:
        return "nothing"
    return shortened(json.dumps(row[key]))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _is_number_or_null(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _drop_torn_line(file: io.FileIO) -> None:
    """End the file after its last whole line, so that the next line does not continue a torn one."""
    content = file.readall()
    rest = content[max(content.rfind(b"\n"), content.rfind(b"\r")) + 1 :]
    if not rest:
        return
    try:
        _parse(rest)
    except ValueError:
        os.ftruncate(file.fileno(), len(content) - len(rest))
    else:
        file.write(b"\n")


def _flush(descriptor: int) -> None:
    """Content and size reach the disk; times need not."""
    getattr(os, "fdatasync", os.fsync)(descriptor)
