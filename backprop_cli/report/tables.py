"""Results as plain aligned text."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from backprop_cli.number_text import number
from backprop_cli.visible import columns, one_line, terminal_width

_GAP = "  "
_NARROWEST = 24
"""Width of a value, regardless of the terminal's width."""


def table(header: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = None) -> str:
    """Columns two spaces apart under a header; a column that holds only numbers is aligned right.

    In a table wider than ``width`` (default: the terminal), cells break between words into several lines. If that is
    not enough, the table is split into several below each other, each with the first column. No line ends with spaces,
    and the text has no final newline.
    """
    room = width or terminal_width()
    texts = [[one_line(str(name)) for name in header], *([one_line(number(cell)) for cell in row] for row in rows)]
    right = [bool(rows) and all(_is_number(row[c]) for row in rows) for c in range(len(header))]
    widest = [max(columns(row[c]) for row in texts) for c in range(len(header))]
    narrowest = [max(max(map(columns, _words(row[c])), default=0) for row in texts) for c in range(len(header))]
    parts = _parts(widest, narrowest, room)
    drawn = (_drawn(texts, part, _widths(part, widest, narrowest, room), right) for part in parts)
    return "\n\n".join(drawn)


def fits(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bool:
    """Whether the table fits the terminal unwrapped."""
    return max(map(columns, table(header, rows, sys.maxsize).splitlines())) <= terminal_width()


def _words(text: str) -> list[str]:
    return text.split(" ")


def _parts(widest: Sequence[int], narrowest: Sequence[int], room: int) -> list[list[int]]:
    """The columns of each table: all of them if they fit when wrapped, else as many as fit."""
    every = list(range(len(widest)))
    if _total(widest, every) <= room or _total(narrowest, every) <= room:
        return [every]
    parts: list[list[int]] = [[0]]
    for column in every[1:]:
        if len(parts[-1]) > 1 and _total(narrowest, [*parts[-1], column]) > room:
            parts.append([0])
        parts[-1].append(column)
    return parts


def _total(widths: Sequence[int], part: Sequence[int]) -> int:
    return sum(widths[column] for column in part) + len(_GAP) * (len(part) - 1)


def _widths(part: Sequence[int], widest: Sequence[int], narrowest: Sequence[int], room: int) -> dict[int, int]:
    """Widths of the columns; the widest shrinks first."""
    widths = {column: widest[column] for column in part}
    spare = sum(widths.values()) + len(_GAP) * (len(part) - 1) - room
    while spare > 0:
        column = max(part, key=lambda c: (widths[c] > narrowest[c], widths[c]))
        if widths[column] <= narrowest[column]:
            break
        widths[column] -= 1
        spare -= 1
    return widths


def _drawn(
    texts: Sequence[Sequence[str]], part: Sequence[int], widths: Mapping[int, int], right: Sequence[bool]
) -> str:
    lines = []
    for row in texts:
        cells = {column: broken(row[column], widths[column]) for column in part}
        for number_ in range(max(map(len, cells.values()))):
            pieces = (cells[c][number_] if number_ < len(cells[c]) else "" for c in part)
            padded = (
                " " * (widths[c] - columns(piece)) + piece if right[c] else piece + " " * (widths[c] - columns(piece))
                for c, piece in zip(part, pieces, strict=True)
            )
            lines.append(_GAP.join(padded).rstrip())
    return "\n".join(lines)


def broken(text: str, room: int) -> list[str]:
    """``text`` in lines of at most ``room`` columns, broken between words; a longer word stays whole."""
    if columns(text) <= room:
        return [text]
    lines = [""]
    for word in _words(text):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and columns(joined) > room:
            lines.append(word)
        else:
            lines[-1] = joined
    return lines


def pairs(values: Mapping[str, object], width: int | None = None) -> str:
    """One ``name value`` a line, with the values in a column. Nested mappings become ``name.key``; long values break
    between words and continue in their column.
    """
    flat = {one_line(name): value for name, value in _flatten(values).items()}
    widest = max(map(columns, flat), default=0)
    room = max((width or terminal_width()) - widest - len(_GAP), _NARROWEST)
    lines = []
    for name, value in flat.items():
        first, *more = broken(one_line(number(value)), room)
        lines.append(f"{name}{' ' * (widest - columns(name))}{_GAP}{first}".rstrip())
        lines += [f"{' ' * widest}{_GAP}{line}" for line in more]
    return "\n".join(lines)


def confusion_table(classes: Sequence[object], counts: Sequence[Sequence[int]]) -> str:
    """Counts of examples: a row for each true class, a column for each predicted one."""
    header = ["true \\ predicted", *map(str, classes)]
    return table(header, [[str(name), *row] for name, row in zip(classes, counts, strict=True)])


def shape_text(shape: Sequence[int]) -> str:
    """``[10, 64]``; ``[]`` for a scalar."""
    return "[" + ", ".join(map(str, shape)) + "]"


def _is_number(cell: object) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))


def _flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            flat[prefix + key] = ", ".join(map(number, value)) or "-"
        else:
            flat[prefix + key] = value
    return flat
