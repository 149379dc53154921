"""Standard output and standard error: what may be drawn on them, and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from backprop_cli.errors import UsageError


def is_plain(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """True where neither bar nor colour belongs: no terminal, ``NO_COLOR``, ``CI``, or ``TERM=dumb``."""
    if not stream.isatty():
        return True
    return bool(environment.get("NO_COLOR") or environment.get("CI") or environment.get("TERM") == "dumb")


def width() -> int:
    """Columns of the terminal, or what ``COLUMNS`` says; 80 where nobody knows."""
    return shutil.get_terminal_size().columns


def emit(text: str) -> None:
    """Print a result to standard output. A reader that has left (``| head``) is no failure.

    Raises: UsageError when standard output cannot take it, as on a full disk.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        raise UsageError(f"standard output: cannot be written: {error.strerror}") from error


def write(text: str) -> None:
    """Print a piece of a result, as it stands, at once.

    Raises: BrokenPipeError when the reader of standard output has left, so that no more pieces are made; UsageError
    when it cannot take it.
    """
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise UsageError(f"standard output: cannot be written: {error.strerror}") from error


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object to standard output; NaN and infinities as null."""
    from backprop_cli.run.directory import finite

    emit(json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def say(text: str) -> None:
    """Print a remark to standard error; one that cannot be printed is lost."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Let what is still buffered, and all that follows, go nowhere, so that the interpreter's last flush succeeds."""
    with contextlib.suppress(OSError, ValueError):  # a test's stream has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
