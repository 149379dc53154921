"""Atomic replacement of files: a crash leaves the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from backprop_cli.errors import warn
from backprop_cli.files import create_temporary

_BUFFER = 2**18
"""Bytes of small pieces that are written together. Larger pieces are written as they are."""


class NotReplacedError(OSError):
    """The new content was written, but the old file could not be replaced."""


def write_atomically(path: Path, content: bytes | Sequence[bytes | memoryview], sync_directory: bool = True) -> None:
    """Replace ``path`` by ``content``: temporary file in the same folder, flush, fsync, rename, fsync of the directory.

    A process killed at any point leaves the old file or the new one. A link under either name is replaced, never
    followed. Without ``sync_directory`` the last step is left out: after a power cut within seconds the old file may be
    back.

    Raises: OSError (a full disk, no permission) with the temporary file removed and the old file untouched;
        NotReplacedError if only the rename failed.
    """
    temporary, descriptor = create_temporary(path)
    try:
        with os.fdopen(descriptor, "wb", _BUFFER, closefd=False) as file:
            file.writelines([content] if isinstance(content, bytes) else content)
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
    """Rename ``source`` to ``target``, which is replaced. Raises: NotReplacedError."""
    try:
        source.replace(target)
    except OSError as error:
        raise NotReplacedError(error.errno, error.strerror) from error


def remove(path: Path) -> None:
    """Remove a file that is not needed any more; warn if that fails."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        warn(f"{path}: cannot be removed: {reason(error)}; the run continues")


def close(descriptor: int, path: Path) -> None:
    """Close a file that is synced already; warn if that fails, as nothing is lost."""
    try:
        os.close(descriptor)
    except OSError as error:
        warn(f"{path}: could not be closed: {reason(error)}")


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut, if the file system supports that.

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
    """The reason without errno and path: ``No space left on device``. A ValueError comes from an invalid path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
