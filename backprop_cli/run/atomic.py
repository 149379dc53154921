"""Files that are either the old one or the whole new one, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from backprop_cli.errors import warn
from backprop_cli.files import create_beside


class NotReplacedError(OSError):
    """The new content was written, but the system keeps the old file in its place."""


def write_atomically(path: Path, content: bytes | memoryview, sync_directory: bool = True) -> None:
    """Replace ``path`` by ``content``: temporary name beside it, flush, fsync, rename, fsync of the directory.

    A process killed at any point leaves the old file or the new one. A link under either name is replaced, never
    followed. Without ``sync_directory`` the last is left out: a power cut in the seconds until the system does it by
    itself may bring the old file back, whole.

    Raises: OSError (a full disk, no permission) with the temporary file removed and the old file untouched;
    NotReplacedError where only the rename failed.
    """
    temporary, descriptor = create_beside(path)
    try:
        with os.fdopen(descriptor, "wb", buffering=0, closefd=False) as file:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) :]
        os.fsync(descriptor)
        close(descriptor, temporary)
        descriptor = -1
        rename(temporary, path)
    except BaseException:
        if descriptor >= 0:
            close(descriptor, temporary)
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if sync_directory:
        sync_folder(path.parent)


def rename(source: Path, target: Path) -> None:
    """Let ``source`` take the place of ``target``. Raises: NotReplacedError."""
    try:
        source.replace(target)
    except OSError as error:
        raise NotReplacedError(error.errno, error.strerror) from error


def remove(path: Path) -> None:
    """Remove a file that nobody needs any more; warn where it stays."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        warn(f"{path}: cannot be removed: {reason(error)}; the run goes on without that")


def close(descriptor: int, path: Path) -> None:
    """Close a file that was synced, so that nothing is lost; warn where the system objects."""
    try:
        os.close(descriptor)
    except OSError as error:
        warn(f"{path}: could not be closed: {reason(error)}")


def sync_folder(folder: Path) -> None:
    """Make renames in it survive a power cut, where the file system can.

    Failing here loses nothing: the content is on disk under one name or the other, and some file systems refuse
    to sync a directory.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def reason(error: OSError | ValueError) -> str:
    """Why the system refused, as words: ``No space left on device``; a ValueError is of a name that none can have."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
