"""Small files that spare work at the next start: machine code, verdicts on plugins. Each may be deleted.

An entry is a digest, and what it is of. One counts that is whole, the user's own, and in a folder of the user's where
nobody else writes; any other is as if it were not there. Nothing in here raises.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from backprop_cli.files import create_beside, open_own

KEPT = 64
"""Files of one kind that are kept: the newest."""

_DIGEST = hashlib.sha256().digest_size
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def cache_folder() -> Path:
    """``~/.cache/backprop-cli``, or the same in ``$XDG_CACHE_HOME``; it need not exist."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backprop-cli"
    except RuntimeError:  # nobody knows where this user is at home
        return Path(os.devnull) / "backprop-cli"


def distrust() -> str:
    """Why the folder is not used though it is there: others could put something into it. Empty where it is."""
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
    """The content of the entry ``<kind>_<name>``; None where there is none that counts."""
    path = cache_folder() / f"{kind}_{name}"
    try:
        if distrust():
            return None
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid not in _users() or status.st_mode & _OTHERS:
                return None
            entry = file.read()
    except (OSError, ValueError, MemoryError):
        return None
    digest, content = entry[:_DIGEST], entry[_DIGEST:]
    return content if digest == _digest(path, content) else None


def save(kind: str, name: str, content: bytes) -> None:
    """Keep ``content`` as the entry ``<kind>_<name>``, if that can be; the oldest entries of its kind go."""
    folder = cache_folder()
    path = folder / f"{kind}_{name}"
    with contextlib.suppress(OSError, ValueError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if distrust():
            return
        temporary, descriptor = create_beside(path, 0o600)
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
    """Of name and content: an entry under the name of another one does not count."""
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()


def _users() -> set[int]:
    """Whom files must belong to; where there are no such numbers (Windows) it is 0 for all."""
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
