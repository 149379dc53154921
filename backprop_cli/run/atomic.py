"""Files that are either the old one or the whole new one, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_atomically(path: Path, content: bytes | memoryview, sync_directory: bool = True) -> None:
    """Replace ``path`` by ``content``: temporary name beside it, flush, fsync, rename, fsync of the directory.

    A process killed at any point leaves the old file or the new one. The temporary name is fixed, so that what a
    kill leaves behind is overwritten by the next write and never piles up. Without ``sync_directory`` the last is left
    out: a power cut in the seconds until the system does it by itself may bring the old file back, whole.

    Raises: OSError (a full disk, no permission) with the temporary file removed and the old file untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if sync_directory:
        _sync_directory(path.parent)


def _sync_directory(folder: Path) -> None:
    """Make the rename survive a power cut, where the file system can.

    Failing here loses nothing: the content is on disk under one name or the other, and some file systems refuse
    to sync a directory.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def reason(error: OSError) -> str:
    """Why the system refused, as words: ``No space left on device``."""
    return error.strerror or str(error)
