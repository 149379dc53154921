"""What a cell of text means: a number, a missing value, or a word."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from functools import partial
from typing import BinaryIO

from backprop_cli.errors import DataError

MISSING = frozenset({"", "NA", "NaN", "nan", "null", "NULL", "None"})
"""Texts that mean a missing value in formats without null."""

BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BINARY = (b"\x89PNG", b"PK\x03\x04", b"\x93NUMPY", b"PAR1", b"%PDF", b"\xd0\xcf\x11\xe0", b"\x80\x04", b"\x89HDF")
"""First bytes of images, archives (.xlsx, .npz), arrays, Parquet, PDF, .xls, pickles, HDF5."""
_CONTROLS = frozenset({*range(9), *range(14, 27), *range(28, 32)})
_NOT_TEXT = "is not a text file; name one of text, or say its format (data.format, --input-format of predict)"


def is_missing(cell: object, texts: Container[str] = MISSING) -> bool:
    """Whether a cell of text or a value of JSON is missing; ``texts`` mean a missing value."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip() in texts)


def number_of(cell: str) -> float | None:
    """The number that a cell spells, infinities included; None for other text.

    Unlike Python's ``float``, underscores are not allowed: ``2024_01`` is a word.
    """
    if "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def is_finite(value: object) -> bool:
    """Whether a cell of text spells a finite number, or a value of JSON is one (within float64's range)."""
    number = number_of(value) if isinstance(value, str) else value
    try:
        return isinstance(number, int | float) and math.isfinite(number)
    except OverflowError:
        return False


LONGEST_LINE = 1 << 26
"""Bytes of a line, or of a record of several: more are no row of a table, and may never end."""


def lines_of(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The lines of a stream. Raises: DataError at the first that is longer than ``LONGEST_LINE``, without its rest."""
    for number, raw in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), 1):
        if len(raw) > LONGEST_LINE:
            raise too_long(name, number)
        yield raw


def too_long(name: str, line: int) -> DataError:
    """What is said of a line, or of the record that begins there, with more bytes than ``LONGEST_LINE``."""
    return DataError(f"{name}:{line}: a row of more than {LONGEST_LINE:,} bytes; expected text with a line a row")


def text_of(raw: bytes, name: str, line: int) -> str:
    """A line's bytes as text. Raises: DataError with line and character where they are not UTF-8."""
    if line == 1:
        raw = _first_line(raw, name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if not _CONTROLS.isdisjoint(raw):
            raise DataError(f"{name}:{line}: {_NOT_TEXT}") from error
        character = len(raw[: error.start].decode("utf-8")) + 1
        # Latin-1 has controls there; Windows' code page has the euro sign and quotes.
        encoding = "cp1252" if any(0x80 <= byte < 0xA0 for byte in raw) else "latin1"
        raise DataError(
            f"{name}:{line}: not UTF-8 text (byte 0x{raw[error.start]:02x} at character {character}); "
            f"convert the file, for example with `iconv -f {encoding} -t utf-8 old > new`"
        ) from error


def _first_line(raw: bytes, name: str) -> bytes:
    """The line without a byte order mark. Raises: DataError where it says that the file is UTF-16, or no text."""
    if raw.startswith(_UTF_16):
        raise DataError(
            f"{name}: is UTF-16 text, expected UTF-8; convert it, for example with `iconv -f utf-16 -t utf-8 old > new`"
        )
    if raw.startswith(_BINARY) or b"\0" in raw:
        raise DataError(f"{name}: {_NOT_TEXT}")
    return raw.removeprefix(BOM)
