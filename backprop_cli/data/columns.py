"""Cells of a text file to typed columns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.cells import Coded, TextCells, coded, first_rows, in_order
from backprop_cli.data.reading import PLAIN, Reading
from backprop_cli.data.refusals import mostly_numbers, no_number, spelled_otherwise
from backprop_cli.data.spelling import MISSING, find_spelling, is_finite, is_missing, number_of
from backprop_cli.data.table import Array, Column, Numbers, Text
from backprop_cli.errors import DataError
from backprop_cli.nn.class_name import Name, exact, named, spelled

Kind = Literal["auto", "quantity", "number", "text", "label"]
"""The kind of a column.

auto: numbers if all values are, else categories; quantity: the same, but numbers may have leading zeros; number:
numbers, else an error; text: categories; label: names of classes, which are numbers if spelled as Python prints them.
"""

_NAMES = ("text", "label")
_POINTS = (".", ",")
_EXACT = 2.0**53  # from here on float64 lacks odd integers
_NAN_FOR: dict[Any, str] = dict.fromkeys([*MISSING, None], "nan")
_PADDED = re.compile(r"^[ \t]*0[0-9]+[ \t]*$", re.MULTILINE)
"""A whole number with leading zeros, which is read as a name: 007, 02116."""


class NeedsText(Exception):  # noqa: N818 - a request, not an error
    """Request to read the file again and keep the cells of a column (the message): their text matters after all."""


class ColumnBuilder:
    """Collects a column's cells chunk by chunk.

    ``typed``: the cells are values of JSON, where text is a number only if ``reading`` gives its spelling. ``keep``:
    cells are kept as they are, even while they are numbers.
    """

    has_null = True
    """Whether a ``typed`` format has a value that means missing."""

    def __init__(self, file: str, name: str, kind: Kind, *, typed: bool, reading: Reading = PLAIN, keep: bool = False):
        self.file, self.name, self.typed = file, name, typed
        self.kind: Kind = "number" if kind in ("auto", "quantity") and reading.is_for_column(name) else kind
        self._reading, self._keep = reading, keep
        self._spelling, self._missing = reading.spelling(name), reading.missing(typed=typed and self.has_null)
        self._sentinels, self._missing_numbers = _numbers_among(self._missing)
        self._numbers: list[NDArray[np.float64]] = []
        self._codes: list[NDArray[np.int64]] = []
        self._values: list[Name] = []
        self._lines: list[int] = []  # where each value occurs first
        self._missing_met: dict[str, None] = {}  # texts that mean a missing value
        self._code_of_cell: dict[Any, int] = {}
        self._code_of_value: dict[Any, int] = {}  # for values stripped of spaces
        # A source whose numbers have decimal commas may have columns written by a program, with points.
        self._plain: list[Array] | None = [] if reading.is_first and reading.is_for_source else None
        self._wrong: tuple[int, Any] | None = None  # line and cell of the first value that is not a number
        self._skipped = 0  # missing values at the end
        self._without_text = 0  # numbers without text, in a column whose cells are kept

    def add(self, cells: Sequence[Any] | Array | Coded | TextCells, lines: Sequence[int] | Array) -> None:
        """Add the next cells, and the line of each.

        An array has numbers without text. Raises: DataError for a value that is not a number in a column that must be
        numeric; NeedsText.
        """
        if self._skipped:
            self._catch_up()
        if isinstance(cells, np.ndarray):
            self._add_numbers(cells, lines)
        elif isinstance(cells, Coded):
            self._add_cells(cells, lines)
        elif isinstance(cells, TextCells):
            if not self._add_plain_numbers(cells):
                self._add_cells(cells.coded(), lines)
        elif not self._add_values(cells):
            self._add_cells(coded(cells, typed=self.typed), lines)

    def skip(self, rows: int) -> None:
        """Count the next ``rows`` values as missing. Many calls cost no more than one."""
        self._skipped += rows

    def _catch_up(self) -> None:
        rows, self._skipped = self._skipped, 0
        if self._plain is not None:
            self._plain.append(np.full(rows, math.nan))
        if self._keep or self.kind in _NAMES:
            self._codes.append(np.full(rows, -1, np.int64))
        else:
            self._numbers.append(np.full(rows, math.nan))

    @property
    def is_plain(self) -> bool:
        """Whether all numbers have Python's spelling, although the source's other columns have another."""
        return self._plain is not None and self._wrong is not None

    def finish(self) -> Column:
        """The whole column.

        Raises: SpellingError for numbers in another spelling; DataError if most but not all values are numbers;
            NeedsText.
        """
        if self._skipped:
            self._catch_up()
        if self.kind not in _NAMES:
            if self._plain is not None and self._wrong is not None:
                return Numbers(_joined(self._plain, np.float64))
            if not self._codes:
                return Numbers(_joined(self._numbers, np.float64))
            if self._are_numbers():
                values = np.array([*map(self._number, self._values), math.nan], np.float64)
                return Numbers(_joined([*self._numbers, *(values[codes] for codes in self._codes)], np.float64))
        return Text(
            _joined(self._codes, np.int64), tuple(map(self._name, self._values)), tuple(filter(None, self._missing_met))
        )

    def _add_numbers(self, cells: Array, lines: Sequence[int] | Array) -> None:
        if self._sentinels:
            cells = np.where(np.isin(cells, self._sentinels), math.nan, cells)
        if self.kind in _NAMES:
            self._codes.append(self._code_numbers(cells, lines))
            return
        if self._plain is not None:
            self._plain.append(cells)
        if self._keep:
            self._without_text += _count(cells)
        else:
            self._numbers.append(cells)

    def _add_plain_numbers(self, cells: TextCells) -> bool:
        """Add cells that are numbers, without their texts; false if the texts matter."""
        decimal = "." if self._spelling is None else self._spelling.decimal
        if self.kind in _NAMES or self._keep or self._wrong is not None or decimal not in _POINTS:
            return False
        numbers, padded = self._plain_numbers(cells, decimal, self._number)
        if numbers is None or (self.kind == "auto" and padded and _are_whole(numbers)):
            return False
        if self._plain is not None:
            known, _ = self._plain_numbers(cells, ".", self._plain_number)
            self._plain = None if known is None else [*self._plain, known]
        self._numbers.append(numbers)
        return True

    def _plain_numbers(
        self, cells: TextCells, decimal: str, number: Callable[[Any], float | None]
    ) -> tuple[Array | None, bool]:
        """All cells as numbers, as ``_parse`` has them, and whether some may have leading zeros."""
        plain = cells.plain(decimal)
        rows = plain.others
        if self._missing_numbers:
            rows = np.union1d(rows, np.flatnonzero(np.isin(plain.numbers, self._missing_numbers)))
        if not len(rows):
            return plain.numbers, plain.padded
        others = cells.coded(rows)
        found = self._parse(others.values, number)
        if found is None:
            return None, False
        numbers = plain.numbers.copy()
        numbers[rows] = found[others.codes]
        return numbers, plain.padded or _have_padding(others.values)

    def _add_values(self, cells: Sequence[Any]) -> bool:
        """Add values of JSON that are all numbers; false if they are not, or their spelling matters."""
        if self.kind in _NAMES or self._keep or not self.typed or self._sentinels or self._wrong is not None:
            return False
        if not cells or not {int, float}.issuperset(map(type, cells)):
            return False
        try:
            numbers = np.array(cells, np.float64)
        except OverflowError:
            return False
        if np.isinf(numbers).any():
            return False
        if self._plain is not None:
            self._plain.append(numbers)
        self._numbers.append(numbers)
        return True

    def _add_cells(self, cells: Coded, lines: Sequence[int] | Array) -> None:
        if self.kind not in _NAMES:
            numbers = self._parse(cells.values, self._number) if self._wrong is None else None
            if numbers is None and self._wrong is None:
                self._suspect(cells, lines)
            self._add_plain(cells)
            if self._wrong is not None and self._plain is None and self.kind == "number":
                raise DataError(no_number(self._place(self._wrong[0]), self._wrong[1], self._reading, self.name))
            if not self._keep and (numbers is None or self._may_be_names(cells, numbers)):
                self._keep = True
                self._without_text = sum(map(_count, self._numbers))
            if not self._keep and numbers is not None:
                self._numbers.append(numbers[cells.codes])
                return
        self._codes.append(self._code(cells, lines))

    def _may_be_names(self, cells: Coded, numbers: Array) -> bool:
        """Whether some whole numbers have leading zeros."""
        return self.kind == "auto" and not self.typed and _are_whole(numbers) and _have_padding(cells.values)

    def _suspect(self, cells: Coded, lines: Sequence[int] | Array) -> None:
        """Remember the first value that is not a number."""
        code = next(
            i for i, cell in enumerate(cells.values) if not self._is_missing(cell) and self._number(cell) is None
        )
        self._wrong = (int(lines[first_rows(cells.codes, len(cells.values))[code]]), cells.values[code])

    def _add_plain(self, cells: Coded) -> None:
        """Also parse the cells in Python's spelling, as long as all cells have it."""
        if self._plain is not None:
            numbers = self._parse(cells.values, self._plain_number)
            if numbers is None:
                self._plain = None
            else:
                self._plain.append(numbers[cells.codes])

    def _are_numbers(self) -> bool:
        """Whether the kept values make a column of numbers rather than of categories.

        Raises: DataError if most but not all values are numbers; NeedsText.
        """
        numeric = np.array([self._number(value) is not None for value in self._values], bool)
        codes = _joined(self._codes, np.int64)
        counts = np.bincount(codes[codes >= 0], minlength=len(self._values))
        numbers, others = self._without_text + int(counts[numeric].sum()), int(counts[~numeric].sum())
        if others:
            self._refuse_other_spelling(counts.tolist())
        texts = [str(value) for value, is_number in zip(self._values, numeric, strict=True) if is_number]
        is_padded = self.kind == "auto" and not self.typed and all(map(str.isdigit, texts)) and _have_padding(texts)
        if numbers >= others and not is_padded:
            if self._wrong is not None:
                line, cell = self._wrong
                raise DataError(
                    mostly_numbers(self._place(line), cell, numbers, numbers + others, self.name, self.kind)
                )
            return True
        if self._without_text or (self._numbers and sum(map(_count, self._numbers))):
            raise NeedsText(self.name)
        self._codes[:0] = [np.full(len(part), -1) for part in self._numbers]  # of missing values alone
        return False

    def _refuse_other_spelling(self, counts: Sequence[int]) -> None:
        """Raises: SpellingError if nearly all values are numbers in a spelling that ``reading`` does not accept."""
        reads = number_of if self._spelling is None else self._number
        found = find_spelling([*map(spelled, self._values), "0"], [*counts, self._without_text], reads)
        if found is not None:
            line = self._lines[self._values.index(found.example)]
            raise spelled_otherwise(self._place(line), found, self._reading, self.name, self.kind)

    def _place(self, line: int) -> str:
        return f"{self.file}:{line}: column '{self.name}'"

    def _is_missing(self, cell: Any) -> bool:
        return is_missing(cell, self._missing) or (bool(self._sentinels) and spelled(cell) in self._missing)

    def _number(self, cell: Any) -> float | None:
        """The finite number in a cell, or spelled by it; None for anything else."""
        if isinstance(cell, str) and self._spelling is not None:
            return self._spelling.number(cell)
        return self._plain_number(cell)

    def _plain_number(self, cell: Any) -> float | None:
        return float(cell) if is_finite(cell) and not (self.typed and isinstance(cell, str)) else None

    def _parse(self, cells: Sequence[Any], number: Callable[[Any], float | None]) -> NDArray[np.float64] | None:
        """All cells as numbers, NaN if missing; None if a cell is neither a number nor missing."""
        is_plain = not self.typed and self._spelling is None and self._reading.missing_values is None
        if is_plain and "_" not in "".join(filter(None, cells)):
            try:
                known = map(_NAN_FOR.get, cells, cells)  # the cell itself unless it is missing
                out = np.fromiter(map(float, known), np.float64, len(cells))  # type: ignore[arg-type]
            except ValueError:
                pass
            else:
                return None if np.isinf(out).any() else out
        numbers = [math.nan if self._is_missing(cell) else number(cell) for cell in cells]
        return None if None in numbers else np.array(numbers, np.float64)

    def _code(self, cells: Coded, lines: Sequence[int] | Array) -> NDArray[np.int64]:
        """The code of each cell, with new codes for new values; -1 if missing."""
        known = self._code_of_cell
        keys = list(zip(map(type, cells.values), cells.values, strict=True)) if self.typed else cells.values
        codes = list(map(known.get, keys))
        if None in codes:
            first = first_rows(cells.codes, len(cells.values))
            for i, code in enumerate(codes):
                if code is None:
                    codes[i] = known[keys[i]] = self._code_of_new(cells.values[i], int(lines[first[i]]))
        return np.array(codes, np.int64)[cells.codes]

    def _code_of_new(self, cell: Any, line: int) -> int:
        if self._is_missing(cell):
            if isinstance(cell, str):
                self._missing_met[cell.strip()] = None
            return -1
        value = cell.strip() if isinstance(cell, str) else cell
        code = self._code_of_value.setdefault(exact(value), len(self._values))
        if code == len(self._values):
            self._values.append(value)
            self._lines.append(line)
        return code

    def _code_numbers(self, cells: Array, lines: Sequence[int] | Array) -> NDArray[np.int64]:
        """The codes of a chunk of numbers without text."""
        values, codes = np.unique(cells, return_inverse=True)
        if self.kind == "text" or np.any(np.abs(values) >= _EXACT):
            raise NeedsText(self.name)
        found = [None if math.isnan(value) else value for value in values.tolist()]
        return self._code(in_order(found, codes), lines)

    def _name(self, value: Name) -> Name:
        if self.kind != "label":
            return spelled(value)
        return named(value) if isinstance(value, str) and not self.typed else value


class ArrayBuilder(ColumnBuilder):
    """Collects the texts of an array, which has rows, from 0, instead of lines. Messages call it ``file``."""

    has_null = False

    def _place(self, line: int) -> str:
        inside = ", " if self.name else ": "
        return f"{self.file}{inside}row {line} (from 0)"


@cache
def _numbers_among(texts: frozenset[str]) -> tuple[list[float], list[float]]:
    """Of texts that mean a missing value the numbers: those spelled as Python prints them, and in any spelling."""
    printed = [float(value) for value in map(named, texts) if not isinstance(value, str)]
    return printed, [value for value in map(number_of, texts) if value is not None and not math.isnan(value)]


def _have_padding(texts: Sequence[str]) -> bool:
    """Whether some of these texts are whole numbers with leading zeros."""
    return _PADDED.search("\n".join(filter(None, texts))) is not None


def _are_whole(numbers: Array) -> bool:
    return bool(np.all(np.isnan(numbers) | (numbers == np.floor(numbers))))


def _count(numbers: Array) -> int:
    return int(np.count_nonzero(~np.isnan(numbers)))


def _joined(parts: list[Any], dtype: type) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
