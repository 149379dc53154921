"""Files opened with care: no link is followed where one is written, nothing but a regular file is read."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

# Windows has neither; there a link takes a right that ordinary users do not have.
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)


def open_own(path: Path, flags: int, mode: int = 0o666) -> int:
    """A descriptor of ``path``, opened with ``flags`` and made with ``mode`` if they have ``O_CREAT``.

    Raises: OSError, which says so where it is a link or no regular file.
    """
    try:
        descriptor = os.open(path, flags | _NO_LINK | _NO_WAIT, mode)
    except OSError as error:
        if path.is_symlink():
            raise OSError(error.errno, "it is a link, which is not followed") from error
        if error.errno == errno.ENXIO:  # a pipe that nobody reads
            raise OSError(error.errno, "it is not a regular file") from error
        raise
    return _regular(descriptor)


def read_regular(path: Path) -> bytes:
    """The content of ``path``, or of what it links to. Raises: OSError, also for a pipe or a device."""
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read()


def open_regular(path: Path) -> int:
    """A descriptor to read from. Raises: OSError, also for a pipe or a device, which might never end."""
    return _regular(os.open(path, os.O_RDONLY | _NO_WAIT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)))


def create_beside(path: Path, mode: int = 0o666) -> tuple[Path, int]:
    """A new file in the folder of ``path``, to become ``path`` when it is whole: its name, and a descriptor to write.

    The name is always the same, so that what a kill leaves behind goes with the next write and never piles up;
    another one only where what stands there cannot be removed.

    Raises: OSError.
    """
    for extra in ("", f".{secrets.token_hex(8)}"):
        temporary = path.with_name(f".{path.name}{extra}.tmp")
        with contextlib.suppress(OSError):
            temporary.unlink()
        try:
            return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, mode)
        except FileExistsError:
            if extra:
                raise
    raise AssertionError("unreachable")


def _regular(descriptor: int) -> int:
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "it is not a regular file")
