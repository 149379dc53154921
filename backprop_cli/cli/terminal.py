"""Standard output and standard error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO, TextIO, cast

from backprop_cli.errors import UsageError
from backprop_cli.visible import json_visible, visible


def is_plain(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to draw no bar: not a terminal, ``CI``, or ``TERM=dumb``."""
    return not stream.isatty() or bool(environment.get("CI")) or environment.get("TERM") == "dumb"


def emit(text: str) -> None:
    """Print a result to standard output. A reader that has left (``| head``) is not an error.

    Raises: UsageError if standard output cannot be written, as on a full disk.
    """
    try:
        print(visible(text), flush=True)
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        raise UsageError(f"standard output: cannot be written: {error.strerror}") from error


def write(text: str) -> None:
    """Print a piece of a text at once; unchanged unless standard output is a terminal.

    Raises:
        BrokenPipeError: the reader of standard output has left; the caller stops.
        UsageError: standard output cannot be written.

    """
    try:
        print(visible(text) if sys.stdout.isatty() else text, end="", flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise UsageError(f"standard output: cannot be written: {error.strerror}") from error


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object to standard output; NaN and infinities as null."""
    from backprop_cli.run.directory import finite

    emit(json_visible(json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)))


def say(text: str) -> None:
    """Print a remark to standard error; if that fails, it is lost."""
    try:
        print(visible(text), file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


class _Shown:
    """Bytes for a terminal, with control characters made visible."""

    def write(self, data: bytes) -> int:
        """Print the bytes as UTF-8."""
        sys.stdout.write(visible(data.decode("utf-8", "backslashreplace")))
        return len(data)

    def flush(self) -> None:
        """Print everything that is buffered."""
        sys.stdout.flush()


def standard_output() -> BinaryIO:
    """The binary stream of standard output; on a terminal control characters are made visible."""
    return cast("BinaryIO", _Shown()) if sys.stdout.isatty() else sys.stdout.buffer


def silence(stream: TextIO) -> None:
    """Discard everything from here on, so that the interpreter's last flush succeeds."""
    with contextlib.suppress(OSError, ValueError):  # a test's stream has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
