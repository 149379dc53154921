"""Comma-separated and tab-separated values."""

from __future__ import annotations

import csv
import shlex
from collections import deque
from collections.abc import Collection, Container, Generator, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.file import BOM, LONGEST_LINE, lines_of, text_of, too_long
from backprop_cli.data.format import FORMATS, Chunk, TableFormat, rows_per_chunk
from backprop_cli.data.spelling import is_finite
from backprop_cli.data.table import show
from backprop_cli.errors import DataError, listing, plural

_DELIMITERS = {";": "';'", "\t": "tabs", "|": "'|'", ",": "commas"}
_WAYS_OUT = {
    "\t": "Then its format is tsv: set data.format, or --input-format of predict, or name the file .tsv",
    ",": "Then its format is csv: set data.format, or --input-format of predict, or name the file .csv",
}
_NUMERIC = b"0123456789+-.eEnaNA \n"


@FORMATS.register
class Csv(TableFormat):
    """Comma-separated values, UTF-8, with a header line.

    Fields may be quoted with ``"`` and then hold commas and newlines. A column is numeric if all its values are
    numbers. It holds categories if less than half are, or if whole numbers have leading zeros (007). Anything between
    is refused as a mistake, as are numbers in another spelling than `data.numbers`.

    Empty, NA, NaN, null and None are missing values unless `data.missing_values` says otherwise. Blank lines are
    skipped; in a file of one column a blank line is an empty cell, except at the end. Spaces around a value do not
    count. Files: ``.csv``, ``.csv.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    delimiter: ClassVar[str] = ","

    def chunks(
        self, stream: BinaryIO, name: str, *, columns: Container[str] | None, rows: int | None, verbatim: bool
    ) -> Generator[Chunk, None, None]:
        """Chunks of plain numbers are arrays from NumPy's parser, others are cells; the values are equal either way."""
        lines = _Lines(stream, name)
        _refuse_first_line(lines)
        header = self._header(lines)
        self._refuse_other_delimiters(header, columns, f"{name}:{lines.number}")
        wanted = [i for i, column in enumerate(header) if columns is None or column in columns]
        limit = rows_per_chunk(len(header))
        size = limit if rows is None else min(rows, limit)
        yield Chunk(dict.fromkeys(header, ()), ())
        while block := lines.take(size):
            first = lines.number - len(block) + 1
            numbers = None if verbatim else self._numbers(block, len(header), wanted)
            if numbers is not None:
                if lines.blank:
                    yield Chunk({header[0]: [""] * len(lines.blank)}, lines.take_blank())
                found = {header[i]: numbers[:, j] for j, i in enumerate(wanted)}
                text = partial(self._column, block, header)
                yield Chunk(found, np.arange(first, first + len(block)), text, self._may_be_padded(block, numbers))
            else:
                lines.give_back(block)
                yield self._cells(lines, header, wanted, len(block))

    def _header(self, lines: _Lines) -> list[str]:
        header: list[str] = []
        start = 1
        for row in self._records(lines):
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

    def _refuse_other_delimiters(self, header: Sequence[str], wanted: Container[str] | None, where: str) -> None:
        """Refuse a header that is one name with a delimiter in it, unless the wanted columns list it."""
        if len(header) > 1 or (isinstance(wanted, Collection) and header[0] in wanted):
            return
        found = next((mark for mark in _DELIMITERS if mark != self.delimiter and mark in header[0]), None)
        if found is not None:
            head = f"{where}: the header has one column, {show(header[0])}: is it separated by {_DELIMITERS[found]}?"
            raise DataError(f"{head} {_WAYS_OUT.get(found) or _with_tabs(found, where)}")

    def _numbers(self, block: list[bytes], width: int, wanted: Sequence[int]) -> NDArray[np.float64] | None:
        """The wanted columns of lines that are all plain numbers, float64 (rows, wanted); None if they are not.

        It accepts only characters that NumPy's parser and ``float`` read alike.
        """
        data = b"".join(block)
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        comma = self.delimiter.encode()
        if not wanted or data.translate(None, _NUMERIC + comma) or data.isspace():
            return None
        if len(wanted) < width and any(line.count(comma) != width - 1 for line in block):
            return None
        use = None if len(wanted) == width else list(wanted)
        out = self._parse(data, use)
        if out is None:
            out = self._parse(_spell_missing(data, comma), use)
        fits = out is not None and out.shape == (len(block), len(wanted)) and not np.isinf(out).any()
        return out if fits else None

    def _column(self, block: list[bytes], header: Sequence[str], column: str) -> list[str]:
        """One column's cells in lines of plain numbers, without parsing the others."""
        comma, position = self.delimiter.encode(), header.index(column)
        behind = len(header) - position
        if behind == 1:
            ends = [line.rsplit(comma, 1)[-1] for line in block]
            # Without a line feed an empty cell at the end of the file would get lost.
            return b"".join([*ends, b"" if ends[-1].endswith(b"\n") else b"\n"]).decode("ascii").splitlines()
        if behind <= position:
            fields = [line.rsplit(comma, behind)[-behind] for line in block]
        else:
            fields = [line.split(comma, position + 1)[position] for line in block]
        return b"\n".join(fields).decode("ascii").split("\n")

    def _may_be_padded(self, block: list[bytes], numbers: NDArray[np.float64]) -> bool:
        """Whether a field of a column of whole numbers may have a leading zero."""
        if not (np.isnan(numbers) | (numbers == np.floor(numbers))).all(axis=0).any():
            return False
        marks = bytes.maketrans(b"23456789" + self.delimiter.encode(), b"11111111\n")
        fields = (b"\n" + b"".join(block)).translate(marks, b" \r")
        return b"\n01" in fields or b"\n00" in fields

    def _parse(self, data: bytes, columns: list[int] | None) -> NDArray[np.float64] | None:
        lines = data.decode("ascii").split("\n")
        if not lines[-1]:
            lines.pop()
        try:
            return np.loadtxt(lines, delimiter=self.delimiter, comments=None, ndmin=2, usecols=columns)
        except ValueError:
            return None

    def _cells(self, lines: _Lines, header: list[str], wanted: Sequence[int], count: int) -> Chunk:
        """The records that begin in the next ``count`` lines."""
        rows: list[list[str]] = []
        starts: list[int] = []
        stop = lines.number + count
        start = lines.number + 1
        for row in self._records(lines):
            if len(header) == 1 and row in ([], [""]) and lines.is_at_blank:
                lines.blank.append(start)
            elif len(row) != len(header):
                if row and row != [""]:
                    raise DataError(_ragged(f"{lines.name}:{start}", row, header))
            else:
                blank = lines.take_blank()
                rows += [*([""] for _ in blank), row]
                starts += [*blank, start]
            if lines.number >= stop:
                break
            start = lines.number + 1
        cells = list(zip(*rows, strict=True)) or [()] * len(header)
        return Chunk({header[i]: cells[i] for i in wanted}, starts)

    def _records(self, lines: _Lines) -> Iterator[list[str]]:
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True)
        while True:
            start = lines.begin_record()
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(_malformed(lines.name, start, lines.number, str(error))) from error
            yield row


@FORMATS.register
class Tsv(Csv):
    """Tab-separated values, UTF-8, with a header line; otherwise like csv.

    Files: ``.tsv``, ``.tab``, also with ``.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".tab")
    delimiter: ClassVar[str] = "\t"


class _Lines:
    """Lines of a stream as text, with the number of the last one taken; blocks of bytes can be put back.

    ``blank``: numbers of the last lines if they are blank: cells of the only column, unless the file ends here.
    """

    def __init__(self, stream: BinaryIO, name: str):
        self.name, self.number = name, 0
        self.blank: list[int] = []
        self.is_at_blank = False  # whether the last line read as text is blank
        self._size, self._first = 0, 1  # bytes of the record so far; its first line
        self._stream, self._back = lines_of(stream, name), deque[bytes]()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._back.popleft() if self._back else next(self._stream)
        self.number += 1
        self.is_at_blank = not raw.strip()
        self._size += len(raw)
        if self._size > LONGEST_LINE:
            raise too_long(self.name, self._first)
        return text_of(raw, self.name, self.number)

    def begin_record(self) -> int:
        """Begin a record of one or more lines; the number of its first line."""
        self._size, self._first = 0, self.number + 1
        return self._first

    def take(self, count: int) -> list[bytes]:
        block = list(islice(chain(self._drain(), self._stream), count))
        self.number += len(block)
        return block

    def take_blank(self) -> list[int]:
        """Take the numbers of the blank lines, which are cells after all."""
        taken, self.blank = self.blank, []
        return taken

    def _drain(self) -> Iterator[bytes]:
        while self._back:
            yield self._back.popleft()

    def give_back(self, block: list[bytes]) -> None:
        self._back.extendleft(reversed(block))
        self.number -= len(block)


def _refuse_first_line(lines: _Lines) -> None:
    """Refuse a first line that is not a header: a JSON object, or Excel's note on the delimiter."""
    first = lines.take(1)
    line = first[0].removeprefix(BOM).strip(b' "\r\n') if first else b""
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
    lines.give_back(first)


def _with_tabs(delimiter: str, where: str) -> str:
    """The way out for a file with a delimiter that no format has."""
    name = where.rpartition(":")[0]
    old, new = (name, f"{name[:-4]}.tsv") if name.endswith(".csv") else ("old.csv", "new.tsv")
    command = f"tr '{delimiter}' '\\t' < {shlex.quote(old)} > {shlex.quote(new)}"
    return f"bp reads commas (csv) and tabs (tsv); write it with tabs: {command}"


def _spell_missing(data: bytes, comma: bytes) -> bytes:
    """Write ``nan`` into empty fields."""
    nan = comma + b"nan" + comma
    # Twice: in ",,," the second pair shares its comma with the first.
    data = data.replace(comma * 2, nan).replace(comma * 2, nan)
    data = data.replace(b"\n" + comma, b"\nnan" + comma).replace(comma + b"\n", comma + b"nan\n")
    return (b"nan" if data.startswith(comma) else b"") + data + (b"nan" if data.endswith(comma) else b"")


def _ragged(where: str, row: list[str], header: list[str]) -> str:
    count = plural(len(row), "field")
    if len(row) > len(header):
        hint = f"the first extra field is {show(row[len(header)])}; a value with a comma must be quoted"
    else:
        hint = f"column '{header[len(row)]}' has no value"
    return f"{where}: {count}, expected {len(header)} as in the header; {hint}"


def _malformed(name: str, start: int, line: int, reason: str) -> str:
    if "unexpected end" in reason:
        return f"{name}:{start}: a field opened with '\"' in this row is never closed"
    if "field larger" in reason:
        limit = csv.field_size_limit()
        return f"{name}:{start}: a field in this row has more than {limit:,} characters; is its quote closed?"
    if "new-line character" in reason:
        if line > 1:  # so lines do end with a newline
            return f"{name}:{line}: a carriage return in the middle of a line; remove it (tr -d '\\r' < old > new)"
        return f"{name}:{line}: a carriage return in a line; end lines with a newline (tr '\\r' '\\n' < old > new)"
    if "expected after" in reason:
        return f"{name}:{line}: text after a closing quote; write a quote inside a quoted field as '\"\"'"
    return f"{name}:{line}: not well formed: {reason}"
