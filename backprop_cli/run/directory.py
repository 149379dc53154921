"""The run directory: the paths of a run's files."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from backprop_cli.errors import CheckpointError, UsageError, warn
from backprop_cli.run.atomic import NotReplacedError, reason, rename, write_atomically

LATEST = "latest"
BEST = "best.safetensors"
LAST = "last.safetensors"
_STEP = re.compile(r"step-(\d{8,15})\.safetensors")
_NAME = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{4}")
"""A run's folder below ``runs/<name>``: UTC time, and a suffix that makes it unique within a second."""


class RunDirectory(NamedTuple):
    """One run's files. Making the object touches nothing; ``create``, ``create_at`` and ``open`` do."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration exactly as the user wrote it."""
        return self.path / "config.yaml"

    @property
    def resolved(self) -> Path:
        """The configuration with every key and its value; training from it alone repeats the run."""
        return self.path / "config.resolved.yaml"

    @property
    def record(self) -> Path:
        """Status, exit code, versions, hashes and final metrics: one JSON object."""
        return self.path / "run.json"

    @property
    def journal(self) -> Path:
        """The events of the run, one JSON object a line, append-only: the source of truth."""
        return self.path / "metrics.jsonl"

    @property
    def table(self) -> Path:
        """The journal's epochs as a table of numbers, written at the end."""
        return self.path / "metrics.csv"

    @property
    def log(self) -> Path:
        """What was printed, without colour."""
        return self.path / "log.txt"

    @property
    def lock(self) -> Path:
        """Locked by the training process, which it names."""
        return self.path / ".lock"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def gradient_checks(self) -> Path:
        """Folder of the gradient checks' JSON."""
        return self.path / "gradient_check"

    @property
    def best(self) -> Path:
        """The checkpoint with the best value of the monitored metric."""
        return self.checkpoints / BEST

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.checkpoints / LAST

    def at_step(self, step: int) -> Path:
        """A checkpoint of an earlier step, by its number."""
        return self.checkpoints / f"step-{step:08d}.safetensors"

    def gradient_check(self, step: int) -> Path:
        """The gradient check at a step, as ``bp gradcheck --json`` prints it."""
        return self.gradient_checks / f"step-{step:08d}.json"

    @classmethod
    def create(cls, root: Path, name: str, now: datetime) -> RunDirectory:
        """A new ``root/name/<UTC time>-<4 hex>``.

        Raises: UsageError when ``name`` is not one folder's name or the folder cannot be made.
        """
        if not name or "\0" in name or Path(name).name != name or name in {".", "..", LATEST}:
            raise UsageError(f"name: {name!r} cannot be a folder's name; give the run another `name`")
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        folder = root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            run = cls(_new_folder(folder, stamp))
            run.checkpoints.mkdir()
        except (OSError, ValueError) as error:
            raise _cannot_create(folder, error) from error
        return run

    @classmethod
    def create_at(cls, path: Path) -> RunDirectory:
        """A new run at ``path`` itself, which must not exist or be empty.

        Raises: UsageError when it is not empty, is a file, or cannot be made.
        """
        try:
            if path.is_dir() and any(path.iterdir()):
                raise UsageError(f"{path}: is not empty; a run needs a directory of its own, name another --run-dir")
            if path.exists() and not path.is_dir():
                raise UsageError(f"{path}: is a file; a run needs a directory of its own, name another --run-dir")
            run = cls(path)
            run.checkpoints.mkdir(parents=True)
        except (OSError, ValueError) as error:
            raise _cannot_create(path, error) from error
        return run

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """The run at ``path``, or the newest run of the folder of runs ``path``.

        Raises: CheckpointError when there is none.
        """
        try:
            for candidate in (path, path / LATEST):
                if (candidate / "run.json").is_file():
                    # By its own name: `latest` will point at another run one day.
                    return cls(candidate.parent / candidate.readlink() if candidate.is_symlink() else candidate)
            is_there, is_folder = path.exists(), path.is_dir()
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be opened: {reason(error)}") from error
        if not is_there:
            raise CheckpointError(
                f"{path}: no such directory; a run is at runs/<name>/<time>, the newest at runs/<name>/latest"
            )
        if not is_folder:
            raise CheckpointError(f"{path}: expected a run directory, got a file")
        raise CheckpointError(f"{path}: is not a run directory: it has no run.json")

    def point_latest(self) -> None:
        """Point ``latest`` at this run, which has a checkpoint, unless it points at a newer run with one.

        The link is replaced by a rename, so that it is never missing.
        """
        path = self.path.absolute()
        latest, own = path.parent / LATEST, _NAME.fullmatch(path.name)
        temporary = latest.with_name(f".{LATEST}-{path.name}")
        if own is None:
            return
        try:
            if latest.is_file() and not latest.is_symlink():
                raise FileExistsError(errno.EEXIST, "it is a file that no run wrote")
            other = _NAME.fullmatch(latest.readlink().name) if latest.is_symlink() else None
            if other is not None and other[1] > own[1] and _has_checkpoint(latest):
                return
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(path.name, target_is_directory=True)
            rename(temporary, latest)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            warn(f"{latest}: cannot point at {path.name}: {reason(error)}; name the run itself")

    def refuse_links(self) -> None:
        """Raises: CheckpointError if a folder of this run is a link: files would be written and deleted elsewhere."""
        for folder in (self.checkpoints, self.gradient_checks):
            if folder.is_symlink():
                raise CheckpointError(
                    f"{folder}: is a link, and links in a run directory are not followed; put the folder in its place"
                )

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Replace ``run.json``.

        Raises: CheckpointError when the disk is full or the directory gone; the old record stays.
        """
        self.write_json(self.record, record)

    def read_record(self) -> dict[str, Any]:
        """Read ``run.json``.

        Raises: CheckpointError when it is missing, not JSON, or not what a run writes.
        """
        from backprop_cli.run.record import read_record  # its model takes a start some milliseconds

        return read_record(self.record)

    def write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write ``content`` to ``path``, a file of this run, atomically and indented; NaN and infinities as null.

        Raises: CheckpointError when it cannot be written; what was there before stays.
        """
        self.write_text(path, json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def write_text(self, path: Path, text: str) -> None:
        """Write ``text`` to ``path``, a file of this run, atomically.

        Raises: CheckpointError when it cannot be written; what was there before stays.
        """
        try:
            path.parent.mkdir(exist_ok=True)
            # A lone surrogate, from a path that is not UTF-8, becomes an escape of JSON and YAML.
            write_atomically(path, text.encode("utf-8", "backslashreplace"))
        except NotReplacedError as error:
            warn(f"{path}: cannot be replaced: {reason(error)}; it is out of date")
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be written: {reason(error)}; {way_out(self.path)}") from error


def step_checkpoints(folder: Path) -> dict[int, Path]:
    """The numbered checkpoints in ``folder`` by step, oldest first."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        with os.scandir(folder) as entries:
            found = {int(match[1]): match[0] for entry in entries if (match := _STEP.fullmatch(entry.name))}
        return {step: folder / name for step, name in sorted(found.items())}
    return {}


_PLAIN = (str, int, type(None))
"""Values that are no collections: asking whether one is a mapping takes longer."""


def finite(value: Any) -> Any:
    """``value`` with NaN and infinities as None, because JSON has no numbers for them."""
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def resume_command(target: Path) -> str:
    """The command line that resumes a run, or resumes from one of its checkpoints."""
    return f"bp train --resume {shlex.quote(str(target))}"


def way_out(run: Path) -> str:
    """The way out after a failure to write: resume, or without a checkpoint start again."""
    if RunDirectory(run).last.exists():
        return f"make room or free the directory, then resume with: {resume_command(run)}"
    return "nothing of the run is saved yet: make room or free the directory, then start again"


def _new_folder(folder: Path, stamp: str) -> Path:
    """Make ``folder/<stamp>-<4 hex>``; draw again if the name is taken."""
    while True:
        path = folder / f"{stamp}-{os.urandom(2).hex()}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path


def _has_checkpoint(run: Path) -> bool:
    return next((run / "checkpoints").glob("*.safetensors"), None) is not None


def _cannot_create(path: Path, error: OSError | ValueError) -> UsageError:
    return UsageError(
        f"{path}: cannot make a run directory: {reason(error)}; choose another place with --run-dir or run.directory"
    )
