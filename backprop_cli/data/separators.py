"""The separator of delimited text, from its header and first rows."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

_SEPARATORS = {
    ",": ("a comma", "commas"),
    ";": ("a semicolon", "semicolons"),
    "\t": ("a tab", "tabs"),
    "|": ("'|'", "'|'"),
}
"""What may separate fields, and its names in messages."""
ROWS = 20
"""Lines to look at if the header has several separators in it."""


def columns_by(separator: str, lines: Sequence[str]) -> list[str]:
    """The columns that a header has with this separator; none if it is not well formed. ``lines`` begin with it."""
    return [name.strip() for name in next(_records(separator, lines), [])]


def called(separator: str) -> tuple[str, str]:
    """What messages call one and several of these separators."""
    return _SEPARATORS.get(separator, (repr(separator), repr(separator)))


def candidates(own: str, header: Sequence[str]) -> list[str]:
    """The separators that make several columns of a header, with the format's ``own`` in front."""
    return [mark for mark in dict.fromkeys([own, *_SEPARATORS]) if len(columns_by(mark, header)) > 1]


def fitting(separators: Sequence[str], lines: Sequence[str], *, whole: bool) -> list[str]:
    """Those of the separators with which all rows have as many fields as the header, and the most.

    ``lines``: the header and the first rows. ``whole``: no others follow, so that the last row ends with them.
    """
    widths = {}
    for mark in separators:
        first, *rows = [len(record) for record in _records(mark, lines) if any(record)]
        if all(width == first for width in (rows if whole else rows[:-1])):
            widths[mark] = first
    return [mark for mark, width in widths.items() if width == max(widths.values())]


def _records(separator: str, lines: Sequence[str]) -> Iterator[list[str]]:
    """The rows, up to the first that is not well formed."""
    try:
        yield from csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    except csv.Error:
        return
