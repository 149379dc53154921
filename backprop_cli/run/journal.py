"""The journal: what happened in a run, one JSON object a line, only ever appended to."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from backprop_cli.errors import CheckpointError
from backprop_cli.registry import snake_case
from backprop_cli.run.atomic import reason, write_atomically
from backprop_cli.run.directory import finite, way_out
from backprop_cli.training.events import Event, Step, Warned

Row = dict[str, Any]


class Journal:
    """Appends events to ``path``; every line is handed to the system before ``write`` returns.

    A line has ``event`` (``epoch``, ``started``, ``gradient_checked``, ...), ``step`` and the event's other fields;
    metrics stand beside them under their full names (``validation/loss``). NaN and infinities are null.
    ``Step`` events are kept every ``every_steps`` steps (None: not at all), ``Warned`` never: it goes to the log.
    """

    def __init__(self, path: Path, every_steps: int | None = None):
        self.path = path
        self._every = every_steps
        try:
            _drop_torn_line(path)
            # Unbuffered: a line is one system call, so that a kill tears at most the line being written.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise self._failure(error) from error

    def write(self, event: Event) -> None:
        """Append ``event``.

        Raises: CheckpointError when it cannot be written (a full disk); earlier lines stay whole.
        """
        if type(event) is Step and (self._every is None or event.step % self._every):
            return
        if isinstance(event, Warned):
            return
        line = (json.dumps(to_row(event), ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
        start = os.fstat(self._file.fileno()).st_size
        try:
            rest = memoryview(line)
            while rest:  # a disk that fills up takes the first part of a line
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), start)
            raise self._failure(error) from error

    def close(self) -> None:
        """Close the file, synced to disk; a second call does nothing."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failure(error) from error
        finally:
            self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # What ended the block matters more than that its last lines may not be on the disk.
        with contextlib.suppress(*([] if error is None else [CheckpointError])):
            self.close()

    def _failure(self, error: OSError) -> CheckpointError:
        return CheckpointError(f"{self.path}: cannot be written: {reason(error)}; {way_out(self.path.parent)}")


def to_row(event: Event) -> Row:
    """The journal line of an event, as a JSON-ready object."""
    if isinstance(event, Step):
        fields = event._asdict()
        fields["train/loss"] = fields.pop("loss")
        fields["train/regularization"] = fields.pop("regularization")
    else:
        fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    metrics = fields.pop("metrics", {})
    row = {"event": snake_case(type(event).__name__), "step": fields.pop("step", None), **fields, **metrics}
    return {key: finite(value) for key, value in row.items()}


def read_journal(path: Path) -> list[Row]:
    """The rows that count, in order.

    A ``started`` row at step s supersedes what stands before it beyond s: the run went on from an older checkpoint.
    A last line torn by a kill is left out.

    Raises: CheckpointError when the file cannot be read or another line than the last is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: the journal cannot be read: {reason(error)}") from error
    rows: list[Row] = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        row = _parse(line)
        if row is None:
            if number == len(lines):
                continue  # torn, or the nothing after the last line's end
            raise CheckpointError(
                f"{path}:{number}: expected a JSON object, got {line[:40].decode('utf-8', 'replace')!r}"
            )
        if row["event"] == "started":
            done = row.get("step") or 0
            rows = [earlier for earlier in rows if (earlier.get("step") or 0) <= done]
        rows.append(row)
    return rows


def seconds_until(path: Path, step: int) -> float:
    """Seconds spent on a run up to ``step``, as the last row says that counts them; 0 where none does.

    Raises: CheckpointError when the journal is damaged.
    """
    if not path.exists():
        return 0.0
    counted = [row for row in read_journal(path) if row["event"] in ("step", "epoch", "finished")]
    return next((float(row["seconds"]) for row in reversed(counted) if row["step"] <= step), 0.0)


def write_table(journal_path: Path, csv_path: Path) -> None:
    """The journal's epochs as CSV: ``step`` first, then ``epoch``, ``seconds`` and the metrics; numbers only.

    What an epoch does not have, and null, is ``nan``. Of an epoch that ended twice, because a resumed run went on with
    it, the last row stands.

    Raises: CheckpointError when the journal cannot be read or the table not written.
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
        write_atomically(csv_path, text.getvalue().encode("utf-8"))
    except OSError as error:
        raise CheckpointError(f"{csv_path}: cannot be written: {reason(error)}; {way_out(csv_path.parent)}") from error


def _parse(line: bytes) -> Row | None:
    """The line's object, or None where the line is not a journal row."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("event"), str) else None


def _is_number_or_null(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _drop_torn_line(path: Path) -> None:
    """End the file after its last whole line, so that the next one does not continue a torn one."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        content = file.read()
        end = content.rfind(b"\n") + 1
        if end == len(content):
            return
        if _parse(content[end:]) is None:
            file.truncate(end)
        else:
            file.write(b"\n")
