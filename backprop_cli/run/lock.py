"""One process at a time trains in a run directory."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backprop_cli.errors import CheckpointError, UsageError
from backprop_cli.files import open_own, read_regular
from backprop_cli.run.atomic import close, reason
from backprop_cli.run.directory import RunDirectory, way_out

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_TRIES, _PAUSE = 5, 0.02
"""Seconds between two tries: a reader that tests the lock holds it for an instant."""
_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@contextlib.contextmanager
def locked(run: RunDirectory) -> Iterator[None]:
    """Lock ``run`` for writing inside the block.

    The system removes the lock when the process ends in any way. Without such locks (Windows, some file systems)
    nothing is locked.

    Raises:
        UsageError: another process trains there.
        CheckpointError: the run's directory cannot be written, or a folder in it is a link.

    """
    run.refuse_links()
    if fcntl is None:
        yield
        return
    descriptor = _acquired(run)
    try:
        with contextlib.suppress(OSError):  # a full disk: the lock holds, though it does not name its process
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _signature(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            run.lock.unlink()
        close(descriptor, run.lock)


def refuse_locked(run: RunDirectory) -> None:
    """Raise UsageError if another process trains in ``run``; lock nothing."""
    if is_locked(run):
        raise _refusal(run)


def is_locked(run: RunDirectory) -> bool | None:
    """Whether a process trains in ``run``; None if unknown."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(run.lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in _BUSY else None
    finally:
        os.close(descriptor)
    return False


def _refusal(run: RunDirectory) -> UsageError:
    return UsageError(f"{run.path}: is being trained by {_holder(run.lock)}; wait until it ends, or end it first")


def _acquired(run: RunDirectory) -> int:
    """A descriptor of the run's lock file with the lock held."""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        try:
            descriptor = open_own(run.lock, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise CheckpointError(f"{run.lock}: cannot be written: {reason(error)}; {way_out(run.path)}") from error
        if _is_taken(descriptor) and _is_at(run.lock, descriptor):
            return descriptor
        os.close(descriptor)
    raise _refusal(run)


def _is_taken(descriptor: int) -> bool:
    """Take the lock; False if another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _BUSY  # a file system without locks
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file is still at ``path``: the last holder of the lock removes it at its end."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _signature() -> bytes:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"process": os.getpid(), "host": platform.node(), "since": now}).encode() + b"\n"


def _holder(path: Path) -> str:
    """``process 4711 (on host, since 2026-01-31T12:00:00+00:00)``."""
    try:
        told: dict[str, Any] = json.loads(read_regular(path))
        return f"process {told['process']} (on {told['host']}, since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"  # which has not written its name yet, or could not
