"""Readers that fail in every way that there is, for the harness to notice."""

import ctypes
import time
import warnings
from pathlib import Path

from harness import Target

from backprop_cli.errors import DataError


def _good(folder: Path) -> list[bytes]:
    return [b"a,b\n1,2\n"]


def _is_good(path: Path) -> bool:
    return path.read_bytes() in _good(path.parent)


def _raises(path: Path) -> None:
    if not _is_good(path):
        raise ZeroDivisionError("of a reader")


def _refuses(path: Path) -> None:
    if not _is_good(path):
        raise DataError("damaged")


def _crashes(path: Path) -> None:
    if not _is_good(path):
        ctypes.string_at(0)


def _is_slow(path: Path) -> None:
    end = time.process_time() + 2.2
    while not _is_good(path) and time.process_time() < end:
        pass


def _is_large(path: Path) -> None:
    if not _is_good(path):
        bytearray(b"x") * 600_000_000


def _asks_for_too_much(path: Path) -> None:
    if not _is_good(path):
        bytearray(b"x") * 7 * 2**40


def _warns(path: Path) -> None:
    if not _is_good(path):
        warnings.warn("of a library", RuntimeWarning, stacklevel=1)


_READERS = (_raises, _refuses, _crashes, _is_slow, _is_large, _asks_for_too_much, _warns)
TARGETS = [Target(read.__name__.strip("_"), ".csv", _good, read) for read in _READERS]
