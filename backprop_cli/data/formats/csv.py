"""Comma-separated and tab-separated values."""

from __future__ import annotations

from collections.abc import Collection, Container, Generator, Sequence
from typing import BinaryIO, ClassVar

import numpy as np

from backprop_cli.data.delimited import FieldColumn, Fields
from backprop_cli.data.file import BOM
from backprop_cli.data.format import FORMATS, Chunk, TableFormat
from backprop_cli.data.format import rows_per_chunk as usual_rows
from backprop_cli.data.lines import Lines
from backprop_cli.data.reading import Reading
from backprop_cli.data.separators import ROWS, called, candidates, columns_by, fitting
from backprop_cli.data.spelling import is_finite
from backprop_cli.data.table import show
from backprop_cli.errors import DataError, listing, plural


def rows_per_chunk(columns: int) -> int:
    """Rows to read at a time: of a wide table more than usual, since its numbers are found in all columns at once."""
    return max(usual_rows(columns), min(_ROWS_OF_WIDE, _CELLS_OF_WIDE // columns))


_ROWS_OF_WIDE = 256
_CELLS_OF_WIDE = 1_000_000


@FORMATS.register
class Csv(TableFormat):
    """Comma-separated values, UTF-8, with a header line.

    Fields may be separated by ``;``, tabs or ``|`` instead, which the header tells, or the rows below a header that has
    several of them. They may be quoted with ``"`` and then hold separators and newlines. A column is numeric if all its
    values are numbers. It holds categories if less than half are, or if whole numbers have leading zeros (007).
    Anything between is refused as a mistake, as are numbers in another spelling than `data.numbers`.

    Empty, NA, NaN, null and None are missing values unless `data.missing_values` says otherwise. Blank lines are
    skipped; in a file of one column a blank line is an empty cell, except at the end. Spaces around a value do not
    count. Files: ``.csv``, ``.csv.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    delimiter: ClassVar[str] = ","

    def __init__(self, expected: str | None = None):
        """``expected``: the separator if the first rows fit several."""
        self._expected = expected

    def configured(self, reading: Reading) -> Csv:
        return type(self)(reading.separator)

    def chunks(
        self, stream: BinaryIO, name: str, *, columns: Container[str] | None, rows: int | None, verbatim: bool
    ) -> Generator[Chunk, None, None]:
        """Columns are parsed when they are asked for, unless quotes make the csv module split the lines."""
        lines = Lines(stream, name)
        _refuse_first_line(lines)
        lines.separator = self._separator(lines, columns)
        header = self._header(lines)
        wanted = [i for i, column in enumerate(header) if columns is None or column in columns]
        # The rows of a prediction are those of one matrix product, whose last bits depend on their number.
        size = rows_per_chunk(len(header)) if rows is None else min(rows, usual_rows(len(header)))
        yield Chunk(dict.fromkeys(header, ()), (), None if lines.separator == self.delimiter else lines.separator)
        while block := lines.take(size):
            fields = _fields(block, lines.separator, len(header))
            if fields is None:
                count = lines.give_back(block)
                yield self._cells(lines, header, wanted, count)
                continue
            if lines.blank:
                yield Chunk({header[0]: [""] * len(lines.blank)}, lines.take_blank())
            first = lines.number - len(fields) + 1
            found = {header[i]: FieldColumn(fields, i) for i in wanted}
            yield Chunk(found, np.arange(first, first + len(fields)))

    def _separator(self, lines: Lines, columns: Container[str] | None) -> str:
        """What separates the fields. Raises: DataError if the first rows fit several separators equally well."""
        number, header, _ = lines.ahead(1)
        named = set(columns) if isinstance(columns, Collection) else set()
        own = columns_by(self.delimiter, header)
        if own and named.issuperset(own):
            return self.delimiter
        marks = candidates(self.delimiter, header)
        if len(marks) < 2:
            return marks[0] if marks else self.delimiter
        _, rows, whole = lines.ahead(ROWS)
        fits = fitting(marks, rows, whole=whole)
        fits = [mark for mark in fits if named.issubset(columns_by(mark, header))] or fits
        if self._expected in fits:
            return self._expected
        if len(fits) > 1:
            raise DataError(_ambiguous(f"{lines.name}:{number}", fits, header))
        return [*fits, *marks][0]

    def _header(self, lines: Lines) -> list[str]:
        header: list[str] = []
        start = 1
        for row in lines.records():
            if row and row != [""]:
                header = [cell.strip() for cell in row]
                break
            start = lines.number + 1
        where = f"{lines.name}:{start}"
        if not header:
            raise DataError(f"{lines.name}: the file is empty; expected a header line and rows")
        if "" in header:
            position = header.index("") + 1
            raise DataError(
                f"{where}: column {position} has no name; name it in the header, or remove it (pandas: index=False)"
            )
        if all(map(is_finite, header)) and not all(cell.isdigit() for cell in header):
            raise DataError(
                f"{where}: expected a header with the columns' names, got numbers ({listing(header, 4)})"
                "; add a first line with names"
            )
        seen: dict[str, int] = {}
        for position, column in enumerate(header, 1):
            if column in seen:
                raise DataError(
                    f"{where}: columns {seen[column]} and {position} are both called {show(column)}; rename one"
                )
            seen[column] = position
        return header

    def _cells(self, lines: Lines, header: list[str], wanted: Sequence[int], count: int) -> Chunk:
        """The records that begin in the next ``count`` lines."""
        rows: list[list[str]] = []
        starts: list[int] = []
        stop = lines.number + count
        start = lines.number + 1
        for row in lines.records():
            if len(header) == 1 and row in ([], [""]) and lines.is_at_blank:
                lines.blank.append(start)
            elif len(row) != len(header):
                if row and row != [""]:
                    raise DataError(_ragged(f"{lines.name}:{start}", row, header, lines.separator))
            else:
                blank = lines.take_blank()
                rows += [*([""] for _ in blank), row]
                starts += [*blank, start]
            if lines.number >= stop:
                break
            start = lines.number + 1
        cells = list(zip(*rows, strict=True)) or [()] * len(header)
        return Chunk({header[i]: cells[i] for i in wanted}, starts)


@FORMATS.register
class Tsv(Csv):
    """Tab-separated values, UTF-8, with a header line; otherwise like csv, also with other separators.

    Files: ``.tsv``, ``.tab``, also with ``.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".tab")
    delimiter: ClassVar[str] = "\t"


def _refuse_first_line(lines: Lines) -> None:
    """Refuse a first line that is not a header: a JSON object, or Excel's note on the delimiter."""
    first = lines.take(1)
    line = first.removeprefix(BOM).strip(b' "\r\n')
    if line.startswith(b'{"'):
        raise DataError(
            f"{lines.name}:1: begins like JSON lines, not like a header; "
            "set data.format, or --input-format of predict, to jsonl"
        )
    if line.lower().startswith(b"sep=") and len(line) <= len(b"sep=\t"):
        note = show(line.decode("utf-8", "replace"))
        raise DataError(
            f"{lines.name}:1: {note} is a note for Excel, not the header; remove the line, for example with "
            "`tail -n +2 old.csv > new.csv`"
        )
    if first:
        lines.give_back(first)


def _fields(block: bytes, separator: str, width: int) -> Fields | None:
    """The fields of whole lines; None if only the csv module knows what they mean, or what is wrong with them."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if b"\r" in block or b"\0" in block:
        return None
    try:
        if not block.isascii():
            block.decode()
        return Fields(block if block.endswith(b"\n") else block + b"\n", ord(separator), width)
    except ValueError:
        return None


def _ambiguous(where: str, separators: Sequence[str], header: Sequence[str]) -> str:
    """The message for a header and rows that fit several separators."""
    ways = [f"{called(mark)[1]} (columns {listing(map(show, columns_by(mark, header)), 4)})" for mark in separators]
    return (
        f"{where}: the fields may be separated by {' or by '.join(ways)}; put quotes around names and values that have "
        "the other mark in them"
    )


def _ragged(where: str, row: list[str], header: list[str], separator: str) -> str:
    count = plural(len(row), "field")
    if len(row) > len(header):
        hint = f"the first extra field is {show(row[len(header)])}; a value with {called(separator)[0]} must be quoted"
    else:
        hint = f"column '{header[len(row)]}' has no value"
    return f"{where}: {count}, expected {len(header)} as in the header; {hint}"
