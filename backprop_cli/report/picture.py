"""Files of pictures, drawn by Matplotlib, which is the optional extra ``[plot]``."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

from backprop_cli.errors import UsageError

SUFFIXES = (".png", ".svg", ".pdf")


def check_picture(path: Path, option: str) -> None:
    """Raise UsageError, before any computation, if no picture can be written to this file."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{option} {path}: pictures are written as {', '.join(SUFFIXES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(f"{option}: Matplotlib is not installed: pip install 'backprop-cli[plot]'")


def encoded(figure: Any, suffix: str) -> bytes:
    """The bytes of the picture's file."""
    stream = io.BytesIO()
    figure.savefig(stream, format=suffix.removeprefix("."), dpi=120)
    return stream.getvalue()
