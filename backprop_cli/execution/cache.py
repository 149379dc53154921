"""Small files that save work at the next start: machine code, verdicts on plugins. Each may be deleted.

An entry is a digest followed by its content. It is used only if it is whole, belongs to the user, and lies in a folder
of the user's to which nobody else can write; otherwise it is treated as missing. Nothing here raises.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from backprop_cli.files import create_temporary, open_own

KEPT = 64
"""Files of one kind that are kept: the last that were used."""

_DIGEST = hashlib.sha256().digest_size
_OTHERS = stat.S_IWGRP | stat.S_IWOTH if hasattr(os, "geteuid") else 0
"""Permissions that others must not have. Windows has none: there every file reports all of them."""


def cache_folder() -> Path:
    """``~/.cache/backprop-cli``, or the same in ``$XDG_CACHE_HOME``; it need not exist.

    Source: XDG Base Directory Specification 0.8, "Basics": a relative path is to be ignored.
    """
    own = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (own if own.is_absolute() else Path.home() / ".cache") / "backprop-cli"
    except RuntimeError:  # this user has no home directory
        return Path(os.devnull) / "backprop-cli"


def distrust() -> str:
    """Why an existing cache folder is not used: others could write to it. Empty if it is used."""
    folder = cache_folder()
    try:
        own = {folder.lstat().st_uid, folder.stat().st_uid} <= _users()
        mode = folder.stat().st_mode
    except OSError:
        return ""
    if not own:
        return f"{folder}: belongs to another user: nothing in it is used; set XDG_CACHE_HOME to a folder of yours"
    if mode & _OTHERS:
        return f"{folder}: others can write there: nothing in it is used; remove it, or: chmod go-w {folder}"
    return ""


def load(kind: str, name: str) -> bytes | None:
    """The content of the entry ``<kind>_<name>``; None if it is missing or cannot be trusted."""
    path = cache_folder() / f"{kind}_{name}"
    try:
        if distrust():
            return None
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid not in _users() or status.st_mode & _OTHERS:
                return None
            entry = file.read()
        with contextlib.suppress(OSError):
            os.utime(path)  # the least used are removed first
    except (OSError, ValueError, MemoryError):
        return None
    digest, content = entry[:_DIGEST], entry[_DIGEST:]
    return content if digest == _digest(path, content) else None


def save(kind: str, name: str, content: bytes) -> None:
    """Store ``content`` as the entry ``<kind>_<name>`` if possible; remove the oldest entries of its kind."""
    folder = cache_folder()
    path = folder / f"{kind}_{name}"
    with contextlib.suppress(OSError, ValueError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if distrust():
            return
        temporary, descriptor = create_temporary(path, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_digest(path, content) + content)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _forget_oldest(folder, kind)


def _digest(path: Path, content: bytes) -> bytes:
    """Digest of name and content, so that an entry renamed to another is not used."""
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()


def _users() -> set[int]:
    """The user whom files must belong to. Windows has no such numbers and reports 0 for every file."""
    return {os.geteuid()} if hasattr(os, "geteuid") else {0}


def _forget_oldest(folder: Path, kind: str) -> None:
    entries = sorted(_with_times(folder, kind))
    for _, old in entries[:-KEPT]:
        with contextlib.suppress(OSError):
            old.unlink()


def _with_times(folder: Path, kind: str) -> Iterator[tuple[float, Path]]:
    for path in folder.glob(f"{kind}_*"):
        with contextlib.suppress(OSError):  # another process has removed it meanwhile
            yield path.stat().st_mtime, path


class Entry(NamedTuple):
    """A file of the cache: what it holds, and its size."""

    kind: str
    path: Path
    bytes: int


def entries() -> list[Entry]:
    """All entries, by kind and name."""
    found = []
    for path in sorted(cache_folder().glob("*_*")):
        with contextlib.suppress(OSError):  # another process has removed it meanwhile
            if path.is_file() and not path.is_symlink():
                found.append(Entry(path.name.partition("_")[0], path, path.stat().st_size))
    return found


def clean() -> list[Entry]:
    """Remove all entries. Returns: those that were removed."""
    removed = []
    for entry in entries() if not distrust() else []:
        with contextlib.suppress(OSError):
            entry.path.unlink()
            removed.append(entry)
    return removed
