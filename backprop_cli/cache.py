"""Small files that spare work at the next start: machine code's sources, verdicts on plugins. Each may be deleted."""

from __future__ import annotations

import os
from pathlib import Path

KEPT = 64
"""Files of one kind that are kept: the newest."""


def cache_folder() -> Path:
    """``~/.cache/backprop-cli``, or the same in ``$XDG_CACHE_HOME``; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backprop-cli"


def kept(kind: str, name: str, text: str) -> Path:
    """The file ``<kind>_<name>`` with this text: it is written where it is not there, and the oldest of its kind go.

    Raises: OSError where nothing can be written.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}_{name}"
    if not path.exists():
        new = folder / f"{path.name}.{os.getpid()}"
        try:
            new.write_text(text)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        _forget_oldest(folder, kind, path.suffix)
    return path


def _forget_oldest(folder: Path, kind: str, suffix: str) -> None:
    files = sorted(folder.glob(f"{kind}_*{suffix}"), key=lambda path: path.stat().st_mtime)
    for old in files[:-KEPT]:
        for path in (old, *(folder / "__pycache__").glob(f"{old.stem}.*")):
            path.unlink(missing_ok=True)
