"""Results as plain aligned text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backprop_cli.report.numbers import number

_GAP = "  "


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns two spaces apart under a header; a column of nothing but numbers is aligned right.

    Lines end without spaces and the text without a newline.
    """
    texts = [[number(cell) for cell in row] for row in rows]
    columns = range(len(header))
    widths = [max([len(header[c]), *(len(row[c]) for row in texts)]) for c in columns]
    right = [bool(rows) and all(_is_number(row[c]) for row in rows) for c in columns]

    def line(cells: Sequence[str]) -> str:
        padded = (cells[c].rjust(widths[c]) if right[c] else cells[c].ljust(widths[c]) for c in columns)
        return _GAP.join(padded).rstrip()

    return "\n".join([line(header), *map(line, texts)])


def pairs(values: Mapping[str, object]) -> str:
    """One ``name value`` a line, the values below each other; nested mappings as ``name.key``."""
    flat = _flatten(values)
    width = max(map(len, flat), default=0)
    return "\n".join(f"{name.ljust(width)}{_GAP}{number(value)}".rstrip() for name, value in flat.items())


def confusion_table(classes: Sequence[object], counts: Sequence[Sequence[int]]) -> str:
    """Counts of examples: a row for each true class, a column for each predicted one."""
    header = ["true \\ predicted", *map(str, classes)]
    return table(header, [[str(name), *row] for name, row in zip(classes, counts, strict=True)])


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
