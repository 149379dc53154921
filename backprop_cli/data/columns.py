"""Cells of a text file to typed columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.table import Array, Cell, Column, Numbers, Text, show
from backprop_cli.data.text import MISSING, is_finite, is_missing, label_of, number_of
from backprop_cli.errors import DataError

Kind = Literal["auto", "number", "text", "label"]
"""What a column is read as. auto: numbers if all its values are, else categories; number: anything else is an error;
text: categories; label: the names of classes, which are numbers where the cell is one."""

_EXACT = 2.0**53  # from here on a float64 does not tell neighbouring integers apart
_NAN_FOR = dict.fromkeys(MISSING, "nan")


class NeedsText(Exception):  # noqa: N818 - a request, not an error
    """The text of cells matters that were parsed as numbers (column: the message): read again, keeping cells."""


class ColumnBuilder:
    """Gathers a column's cells chunk by chunk.

    ``typed``: the cells are values of JSON, where text is never a number.
    """

    def __init__(self, file: str, name: str, kind: Kind, *, typed: bool):
        self.file, self.name, self.kind, self.typed = file, name, kind, typed
        self._numbers: list[NDArray[np.float64]] = []
        self._codes: list[NDArray[np.int64]] = []
        self._index: dict[Any, int] = {}
        self._wrong: tuple[int, Any] | None = None  # line and cell of the first value that is no number
        self._skipped = 0  # values at the end that are missing
        self._without_text = 0  # numbers seen, in a column with a wrong one, whose text is not kept

    def add(self, cells: Sequence[Any] | Array, lines: Sequence[int] | Array) -> None:
        """The next cells, and the line of each.

        Raises: DataError for a value that is no number where the column must be numeric; NeedsText.
        """
        if self._skipped:
            self._catch_up()
        if self.kind in ("text", "label"):
            self._codes.append(self._code_numbers(cells) if isinstance(cells, np.ndarray) else self._code(cells))
            return
        numbers = cells if isinstance(cells, np.ndarray) else self._parse(cells)
        if self._wrong is None and numbers is not None:
            self._numbers.append(numbers)
        elif isinstance(cells, np.ndarray):
            self._without_text += int(np.count_nonzero(~np.isnan(cells)))
        else:
            self._suspect(cells, lines)
            self._codes.append(self._code(cells))

    def skip(self, rows: int) -> None:
        """The next ``rows`` values are missing: gathered until there are others, as that may be often."""
        self._skipped += rows

    def _catch_up(self) -> None:
        rows, self._skipped = self._skipped, 0
        if self.kind in ("text", "label") or self._wrong is not None:
            self._codes.append(np.full(rows, -1, np.int64))
        else:
            self._numbers.append(np.full(rows, math.nan))

    def finish(self) -> Column:
        """The whole column.

        Raises: DataError where some of its values, but not most, are no numbers; NeedsText.
        """
        if self._skipped:
            self._catch_up()
        if self.kind not in ("text", "label"):
            if self._wrong is None:
                return Numbers(_joined(self._numbers, np.float64))
            self._decide()
        return Text(_joined(self._codes, np.int64), self._categories())

    def _suspect(self, cells: Sequence[Any], lines: Sequence[int] | Array) -> None:
        """Remember the first value that is no number."""
        if self._wrong is not None:
            return
        row = next(i for i, cell in enumerate(cells) if not is_missing(cell) and not self._is_number(cell))
        self._wrong = (int(lines[row]), cells[row])
        if self.kind == "number":
            raise DataError(self._complaint())
        self._without_text = int(sum(np.count_nonzero(~np.isnan(part)) for part in self._numbers))

    def _decide(self) -> None:
        """Categories, or numbers of which some are spoilt: whatever most values are."""
        codes = _joined(self._codes, np.int64)
        counts = np.bincount(codes[codes >= 0], minlength=len(self._index))
        numeric = np.fromiter(map(self._is_number, self._cells()), bool, len(self._index))
        numbers = self._without_text + int(counts[numeric].sum())
        others = int(counts[~numeric].sum())
        if numbers >= others:
            raise DataError(
                f"{self._complaint()} ({numbers:,} of the column's {numbers + others:,} values are numbers); correct "
                "it, leave it empty if it is missing, or choose other columns with data.features"
            )
        if self._without_text or self._numbers:
            raise NeedsText(self.name)

    def _is_number(self, cell: Any) -> bool:
        return not (self.typed and isinstance(cell, str)) and is_finite(cell)

    def _parse(self, cells: Sequence[Any]) -> NDArray[np.float64] | None:
        """All cells as numbers, NaN where missing; None if one is neither."""
        if not self.typed and "_" not in "".join(cells):
            try:
                known = map(_NAN_FOR.get, cells, cells)  # the cell itself where it is not a missing one
                out = np.fromiter(map(float, known), np.float64, len(cells))  # type: ignore[arg-type]
            except ValueError:
                pass
            else:
                return None if np.isinf(out).any() else out
        if self.typed and {int, float}.issuperset(map(type, cells)):
            with suppress(OverflowError):
                out = np.array(cells, np.float64)
                return None if np.isinf(out).any() else out
        if not all(is_missing(cell) or self._is_number(cell) for cell in cells):
            return None
        return np.array([math.nan if is_missing(cell) else float(cell) for cell in cells], np.float64)

    def _code(self, cells: Sequence[Any]) -> NDArray[np.int64]:
        """Categories by number, new ones added; -1 where missing."""
        index = self._index
        out = np.empty(len(cells), np.int64)
        for row, cell in enumerate(cells):
            # 1 and True are equal as keys of a dict, but are not the same value of JSON.
            key = (type(cell), cell) if self.typed else cell
            code = index.get(key)
            if code is None:
                code = -1 if is_missing(cell) else index.setdefault(key, len(index))
            out[row] = code
        return out

    def _code_numbers(self, cells: Array) -> NDArray[np.int64]:
        """The same for a chunk that was read without keeping its text."""
        values, inverse = np.unique(cells, return_inverse=True)
        if self.kind == "text" or np.any(np.abs(values) >= _EXACT):
            raise NeedsText(self.name)
        texts = ["" if math.isnan(value) else value if self.typed else repr(value) for value in values.tolist()]
        return self._code(texts)[inverse]

    def _cells(self) -> list[Any]:
        return [cell for _, cell in self._index] if self.typed else list(self._index)

    def _categories(self) -> tuple[Cell, ...]:
        if self.kind == "label":
            return tuple(cell if self.typed else label_of(cell) for cell in self._cells())
        return tuple(cell if isinstance(cell, str) else str(cell) for cell in self._cells())

    def _complaint(self) -> str:
        assert self._wrong is not None
        line, cell = self._wrong
        is_infinite = not self.typed and number_of(cell) is not None if isinstance(cell, str) else True
        expected = "a finite number" if is_infinite else "a number"
        return f"{self.file}:{line}: column '{self.name}': expected {expected}, got {show(cell)}"


def _joined(parts: list[Any], dtype: type) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
