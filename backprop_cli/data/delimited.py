"""The fields of lines of delimited text, found in all lines at once."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.cells import Coded, PlainNumbers, Rows, TextCells, first_rows
from backprop_cli.data.decimals import (
    BEFORE,
    Floats,
    Spans,
    Words,
    are_short,
    digits_of,
    last_bytes,
    values_of,
    words_of,
)

Bools = NDArray[np.bool_]

_NEWLINE, _SPACE, _QUOTE, _PLUS, _MINUS, _ZERO, _E = b'\n "+-0e'
_TO_LOWER = 32  # this bit tells e from E
_SPACES = (9, 10, 11, 12, 32)
_CELLS_AT_ONCE = 16_384
"""Cells whose numbers are computed together: enough to make the calls cheap, few enough for the cache."""


class _Marks(NamedTuple):
    """Where each field begins and ends, and its marks: the characters that are no digits.

    ``marks``: their number; ``last``: the index of the last one among all marks, meaningless if the field has none.
    Every array is int64 (rows, fields).
    """

    start: Rows
    end: Rows
    last: Rows
    marks: Rows


class Fields:
    """The fields of lines with ``width`` fields each, in which quotes enclose whole fields only."""

    def __init__(self, data: bytes, delimiter: int, width: int):
        """Raises: ValueError if the lines are not like that, or may not be text."""
        self._data = data
        buffer = np.zeros(BEFORE + len(data) + 8, np.uint8)
        self._text = buffer[BEFORE : BEFORE + len(data)]
        self._text[:] = np.frombuffer(data, np.uint8)
        self._words = words_of(buffer)
        self._places = np.flatnonzero(self._text - np.uint8(_ZERO) > 9)
        self._kinds = self._text.take(self._places)
        self._fields = self._found(delimiter, width)
        self._known: dict[tuple[int, str], PlainNumbers] = {}

    def __len__(self) -> int:
        return len(self._fields.start)

    def plain(self, column: int, decimal: str) -> PlainNumbers:
        """The numbers in a column."""
        if (column, decimal) not in self._known:
            # Columns whose numbers will be asked for soon: row by row is the order of the text, which caches like.
            some = self._fields.marks[:_SAMPLE]
            likely = np.flatnonzero((some <= _FEW_MARKS).all(axis=0)) if not self._known else _NO_ROWS
            self._parse(likely if column in likely else np.array([column]), decimal)
        return self._known[column, decimal]

    def coded(self, column: int, rows: Rows | None = None) -> Coded:
        """The texts of a column, in these rows (None: all)."""
        start, end = self._fields.start[:, column], self._fields.end[:, column]
        if rows is not None:
            start, end = start[rows], end[rows]
        size = end - start
        longest = int(size.max(initial=0))
        if not longest:
            return Coded([""] if len(start) else [], np.zeros(len(start), np.int64))
        index: dict[bytes, int] = {}
        codes = self._look_up(index, start[:_SAMPLE], end[:_SAMPLE])
        if len(start) > _SAMPLE:
            if longest <= BEFORE and len(index) < _SAMPLE // 2:
                words = [last_bytes(self._words, end - done, size - done) for done in range(0, longest, 8)]
                codes, known = _guessed(codes, len(index), words)
                rest = np.flatnonzero(~known)
            else:
                rest = np.arange(_SAMPLE, len(start))
                codes = np.append(codes, rest)
            codes[rest] = self._look_up(index, start[rest], end[rest])
        return Coded(list(map(_text_of, index)), codes)

    def _look_up(self, index: dict[bytes, int], start: Rows, end: Rows) -> Rows:
        """The codes of fields. New ones get the next codes."""
        data = self._data
        cells = [data[first:last] for first, last in zip(start.tolist(), end.tolist(), strict=True)]
        for cell in dict.fromkeys(cells):
            index.setdefault(cell, len(index))
        return np.fromiter(map(index.__getitem__, cells), np.int64, len(cells))

    def _found(self, delimiter: int, width: int) -> _Marks:
        is_end = self._kinds == _NEWLINE
        rows = np.count_nonzero(is_end)
        last = np.flatnonzero(is_end | (self._kinds == delimiter))
        if len(last) != rows * width or not is_end.take(last[width - 1 :: width]).all():
            raise ValueError("lines differ in their number of fields")
        end = self._places.take(last)
        start = np.empty_like(end)
        start[0] = 0
        np.add(end[:-1], 1, out=start[1:])
        if width == 1 and np.isin(self._text.take(start), _SPACES).any():
            raise ValueError("a line may be blank")
        if len(self._data) > csv.field_size_limit() < int((end - start).max()):
            raise ValueError("a field may be too long")
        marks = np.diff(last, prepend=-1)
        marks -= 1
        last -= 1
        self._check_quotes(start, end)
        return _Marks(*(each.reshape(rows, width) for each in (start, end, last, marks)))

    def _check_quotes(self, start: Rows, end: Rows) -> None:
        """Raises: ValueError unless all quotes are the first and the last character of a field."""
        quotes = np.count_nonzero(self._kinds == _QUOTE)
        self._has_quotes = quotes > 0
        if quotes:
            quoted = np.flatnonzero(self._text.take(start) == _QUOTE)
            first, last = start[quoted], end[quoted] - 1
            if quotes != 2 * len(quoted) or not ((self._text.take(last) == _QUOTE) & (first < last)).all():
                raise ValueError("a quote is inside a field")

    def _parse(self, columns: Rows, decimal: str) -> None:
        """Find the numbers of some columns."""
        every = len(columns) == self._fields.start.shape[1]
        chosen = self._fields if every else _Marks(*(each[:, columns] for each in self._fields))
        numbers = np.empty((len(columns), len(self)))
        found, padded = np.empty(numbers.shape, bool), np.empty(numbers.shape, bool)
        step = max(1, _CELLS_AT_ONCE // len(columns))
        for first in range(0, len(self), step):
            rows = slice(first, first + step)
            parsed = self._parsed(_Marks(*(each[rows].ravel() for each in chosen)), ord(decimal))
            for out, part in zip((numbers, found, padded), parsed, strict=True):
                out[:, rows] = part.reshape(-1, len(columns)).T
        whole, some_padded = np.atleast_1d(found.all(axis=1)), np.atleast_1d(padded.any(axis=1))
        for i, column in enumerate(columns.tolist()):
            others = _NO_ROWS if whole[i] else np.flatnonzero(~found[i])
            self._known[column, decimal] = PlainNumbers(numbers[i], others, bool(some_padded[i]))

    def _parsed(self, fields: _Marks, decimal: int) -> tuple[Floats, Bools, Bools]:
        """The numbers, whether each is one, and whether it may have leading zeros."""
        given = self._stripped(fields)
        fields, exponent = self._without_exponents(given)
        first = self._text.take(fields.start)
        negative = first == _MINUS
        signed = negative | (first == _PLUS)
        pointed = (self._kinds.take(fields.last) == decimal) & (fields.marks > 0)
        point = np.where(pointed, self._places.take(fields.last), fields.end)
        spans = Spans(fields.start + signed, point, fields.end, fields.end - point - pointed, exponent)
        found = (fields.marks == pointed.view(np.int8) + signed.view(np.int8)) & are_short(spans)
        padded = found & (first == _ZERO) & (point == given.end) & (point - fields.start > 1)
        if found.all():
            numbers, found = values_of(self._words, spans)
        else:
            numbers = np.empty(len(first))
            numbers[found], certain = values_of(self._words, Spans(*(each[found] for each in spans)))
            found[found] = certain
        np.negative(numbers, out=numbers, where=negative)
        numbers[~found] = np.nan
        return numbers, found, padded

    def _stripped(self, fields: _Marks) -> _Marks:
        """The fields without quotes, and without spaces before a number."""
        start, end, last, marks = fields
        if self._has_quotes:
            quoted = self._text.take(start) == _QUOTE
            start, end, last, marks = start + quoted, end - quoted, last - quoted, marks - 2 * quoted
        for _ in range(_MOST_SPACES):
            spaces = (self._text.take(start) == _SPACE) & (start < end)
            if not spaces.any():
                break
            start, marks = start + spaces, marks - spaces
        return _Marks(start, end, last, marks)

    def _without_exponents(self, fields: _Marks) -> tuple[_Marks, Rows]:
        """The fields without exponents such as e-05, and the exponents."""
        exponent = np.zeros(len(fields.start), np.int64)
        sign = self._kinds.take(fields.last)
        signed = (sign == _PLUS) | (sign == _MINUS)
        mark = fields.last - signed
        rows = np.flatnonzero((self._kinds.take(mark) | _TO_LOWER == _E) & (fields.marks > signed))
        if not len(rows):
            return fields, exponent
        place, digits = self._places.take(mark[rows]), self._places.take(fields.last[rows]) + 1
        size = fields.end[rows] - digits
        sound = (size > 0) & (size <= _MOST_EXPONENT) & (digits == place + 1 + signed[rows])
        rows, place, size = rows[sound], place[sound], size[sound]
        exponent[rows] = digits_of(self._words, fields.end[rows], size)
        exponent[rows[sign[rows] == _MINUS]] *= -1
        end, last, marks = fields.end.copy(), fields.last.copy(), fields.marks.copy()
        end[rows], last[rows] = place, mark[rows] - 1
        marks[rows] -= 1 + signed[rows]
        return _Marks(fields.start, end, last, marks), exponent


_NO_ROWS = np.empty(0, np.int64)
_SAMPLE = 512
"""First rows, from which is guessed what the others are like."""
_FEW_MARKS = 5
"""Most marks of a number: two signs, a point, an e, and something around it."""
_MOST_SPACES = 32
_MOST_EXPONENT = 3
"""Most digits of an exponent: larger ones never give a finite number that is not 0."""


def _text_of(cell: bytes) -> str:
    """A field's text, as ``csv`` reads it: without its quotes, or without the spaces before it."""
    return (cell[1:-1] if cell.startswith(b'"') else cell.lstrip(b" ")).decode()


def _guessed(codes: Rows, count: int, words: Sequence[Words]) -> tuple[Rows, Bools]:
    """A code for each row, and whether it is right, from the ``count`` different codes of the first rows.

    ``words``: the bytes of each row's text. A table has one of the texts for each hash of them.
    """
    mixed = words[0]
    for word in words[1:]:
        mixed = (mixed * _ODD) ^ word
    slots = (mixed * _ODD) >> np.uint64(64 - _HASH_BITS)
    first = first_rows(codes, count)
    table = np.zeros(1 << _HASH_BITS, np.int64)
    table[slots[first]] = np.arange(count)
    guess = table.take(slots)
    known = np.ones(len(slots), bool)
    for word in words:
        known &= word == word[first].take(guess)
    return guess, known


_HASH_BITS = 12
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio, for Fibonacci hashing


class FieldColumn(TextCells):
    """One column of the fields."""

    def __init__(self, fields: Fields, column: int):
        self._fields, self._column = fields, column

    def plain(self, decimal: str = ".") -> PlainNumbers:
        return self._fields.plain(self._column, decimal)

    def coded(self, rows: Rows | None = None) -> Coded:
        return self._fields.coded(self._column, rows)
