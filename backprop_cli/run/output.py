"""A command's output: a stream, or a file that is written as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from backprop_cli.errors import UsageError
from backprop_cli.files import exists
from backprop_cli.run.atomic import reason


@contextlib.contextmanager
def opened(output: Path | BinaryIO) -> Iterator[BinaryIO]:
    """Open the output; a file appears under its name when the block ends, and not if it fails.

    Raises: UsageError if it cannot be written. A broken pipe stays a BrokenPipeError.
    """
    if not isinstance(output, Path):
        try:
            yield output
            output.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UsageError(f"standard output: cannot be written: {reason(error)}") from error
        return
    if exists(output) and not output.is_file():  # a device or a pipe is written into, never replaced
        with _direct(output) as stream:
            yield stream
        return
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
        temporary.replace(output)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _direct(output: Path) -> Iterator[BinaryIO]:
    try:
        with output.open("wb") as stream:
            yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{output}: cannot be written: {reason(error)}") from error
