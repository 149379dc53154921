"""Opening files safely: writing follows no links, reading accepts only regular files. And the files that come along."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

# Windows has neither flag; there, making a link needs a right that ordinary users do not have.
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)


def exists(path: Path | str, *, follow: bool = True) -> bool:
    """Whether something is at ``path``; ``follow``: not if that is a link to nothing.

    Unlike ``Path.exists`` it raises no OSError for a name that no file can have, such as a very long one.
    """
    return os.path.exists(path) if follow else os.path.lexists(path)  # noqa: PTH110 - see above


def is_same_file(one: Path, other: Path) -> bool:
    """Whether both paths lead to one file; false if nothing is at either."""
    return exists(one) and exists(other) and one.samefile(other)


def ready_folder() -> Path:
    """The folder that holds ``configs`` and ``datasets``: inside an installed package, next to it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "ready"
    return installed if installed.is_dir() else package.parent


def open_own(path: Path, flags: int, mode: int = 0o666) -> int:
    """A descriptor of ``path``, opened with ``flags``; ``mode`` holds for a file that ``O_CREAT`` makes.

    Raises: OSError, also for a link and for anything else that is not a regular file.
    """
    try:
        descriptor = os.open(path, flags | _NO_LINK | _NO_WAIT, mode)
    except OSError as error:
        if path.is_symlink():
            raise OSError(error.errno, "it is a link, which is not followed") from error
        if error.errno == errno.ENXIO:  # a pipe without a reader
            raise OSError(error.errno, "it is not a regular file") from error
        raise
    return _regular(descriptor)


def read_regular(path: Path) -> bytes:
    """The content of ``path``; links are followed. Raises: OSError, also for a pipe or a device."""
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read()


def open_regular(path: Path) -> int:
    """A descriptor to read from; links are followed. Raises: OSError, also for a pipe or a device."""
    return _regular(os.open(path, os.O_RDONLY | _NO_WAIT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)))


def create_temporary(path: Path, mode: int = 0o666) -> tuple[Path, int]:
    """Create a temporary file in the folder of ``path``; returns its path, and a descriptor to write.

    The name is fixed, so that the next write replaces a file that a killed process left behind. It is random only if
    an existing file of that name cannot be removed.

    Raises: OSError.
    """
    for extra in ("", "", f".{os.urandom(8).hex()}"):
        temporary = path.with_name(f".{path.name}{extra}.tmp")
        try:
            return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, mode)
        except FileExistsError:
            if extra:
                raise
        with contextlib.suppress(OSError):
            temporary.unlink()
    raise AssertionError("unreachable")


def _regular(descriptor: int) -> int:
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "it is not a regular file")
