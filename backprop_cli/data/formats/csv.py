"""Comma-separated and tab-separated values."""

from __future__ import annotations

import csv
import shlex
from collections import deque
from collections.abc import Collection, Container, Generator, Iterator, Sequence
from io import BytesIO
from typing import BinaryIO, ClassVar

import numpy as np

from backprop_cli.data.delimited import FieldColumn, Fields
from backprop_cli.data.file import BOM, LONGEST_LINE, text_of, too_long
from backprop_cli.data.format import FORMATS, Chunk, TableFormat, rows_per_chunk
from backprop_cli.data.spelling import is_finite
from backprop_cli.data.table import show
from backprop_cli.errors import DataError, listing, plural

_DELIMITERS = {";": "';'", "\t": "tabs", "|": "'|'", ",": "commas"}
_WAYS_OUT = {
    "\t": "Then its format is tsv: set data.format, or --input-format of predict, or name the file .tsv",
    ",": "Then its format is csv: set data.format, or --input-format of predict, or name the file .csv",
}


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
        """Columns are parsed when they are asked for, unless quotes make the csv module split the lines."""
        lines = _Lines(stream, name)
        _refuse_first_line(lines)
        header = self._header(lines)
        self._refuse_other_delimiters(header, columns, f"{name}:{lines.number}")
        wanted = [i for i, column in enumerate(header) if columns is None or column in columns]
        limit = rows_per_chunk(len(header))
        size = limit if rows is None else min(rows, limit)
        yield Chunk(dict.fromkeys(header, ()), ())
        while block := lines.take(size):
            fields = self._fields(block, len(header))
            if fields is None:
                count = lines.give_back(block)
                yield self._cells(lines, header, wanted, count)
                continue
            if lines.blank:
                yield Chunk({header[0]: [""] * len(lines.blank)}, lines.take_blank())
            first = lines.number - len(fields) + 1
            found = {header[i]: FieldColumn(fields, i) for i in wanted}
            yield Chunk(found, np.arange(first, first + len(fields)))

    def _fields(self, block: bytes, width: int) -> Fields | None:
        """The fields of whole lines; None if only the csv module knows what they mean, or what is wrong with them."""
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        if b"\r" in block or b"\0" in block:
            return None
        try:
            if not block.isascii():
                block.decode()
            return Fields(block if block.endswith(b"\n") else block + b"\n", ord(self.delimiter), width)
        except ValueError:
            return None

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
    """Lines of a stream, as text or many together as bytes, with the number of the last one taken.

    ``blank``: numbers of the last lines if they are blank: cells of the only column, unless the file ends here.
    """

    def __init__(self, stream: BinaryIO, name: str):
        self.name, self.number = name, 0
        self.blank: list[int] = []
        self.is_at_blank = False  # whether the last line read as text is blank
        self._size, self._first = 0, 1  # bytes of the record so far; its first line
        self._read = getattr(stream, "read1", stream.read)  # what a pipe has, without waiting for more
        self._pieces, self._split = deque[bytes](), deque[bytes]()  # bytes, after lines that are split already

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if not self._split:
            self._split.extend(BytesIO(self._block(1, _LINES_AT_ONCE)))
        if not self._split:
            raise StopIteration
        raw = self._split.popleft()
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

    def take(self, count: int) -> bytes:
        """The next ``count`` lines, or as many as there are."""
        if self._split:
            self._pieces.appendleft(b"".join(self._split))
            self._split.clear()
        block = self._block(count, count)
        if block:
            self.number += _lines_in(block)
        return block

    def take_blank(self) -> list[int]:
        """Take the numbers of the blank lines, which are cells after all."""
        taken, self.blank = self.blank, []
        return taken

    def give_back(self, block: bytes) -> int:
        """Put lines back, in front of the others; their number."""
        self._pieces.appendleft(block)
        count = _lines_in(block)
        self.number -= count
        return count

    def _block(self, least: int, most: int) -> bytes:
        """At least ``least`` lines unless the stream ends, and at most ``most``. Raises: DataError for a long line."""
        pieces, lines, tail, ended = list[bytes](), 0, 0, False
        while lines < least and tail <= LONGEST_LINE and not ended:
            piece = self._pieces.popleft() if self._pieces else self._read(_PIECE)
            pieces.append(piece)
            ended = not piece
            lines += int(np.count_nonzero(np.frombuffer(piece, np.uint8) == _NEWLINE))
            tail = len(piece) - 1 - piece.rfind(b"\n") if b"\n" in piece else tail + len(piece)
        data = b"".join(pieces)
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)[:most] + 1
        if tail and len(ends) < least:
            ends = np.append(ends, len(data))
        long = np.flatnonzero(np.diff(ends, prepend=0) > LONGEST_LINE)
        if len(long):
            if long[0] < least:
                raise too_long(self.name, self.number + int(long[0]) + 1)
            ends = ends[: long[0]]
        stop = int(ends[-1]) if len(ends) else 0
        if stop < len(data):
            self._pieces.appendleft(data[stop:])
        return data[:stop]


def _lines_in(block: bytes) -> int:
    """The number of lines. NumPy counts characters ten times as fast as ``bytes.count``."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == _NEWLINE)) + (not block.endswith(b"\n"))


_PIECE = 1 << 18
"""Bytes to read at once."""
_LINES_AT_ONCE = 4096
_NEWLINE = 10


def _refuse_first_line(lines: _Lines) -> None:
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


def _with_tabs(delimiter: str, where: str) -> str:
    """The way out for a file with a delimiter that no format has."""
    name = where.rpartition(":")[0]
    old, new = (name, f"{name[:-4]}.tsv") if name.endswith(".csv") else ("old.csv", "new.tsv")
    command = f"tr '{delimiter}' '\\t' < {shlex.quote(old)} > {shlex.quote(new)}"
    return f"bp reads commas (csv) and tabs (tsv); write it with tabs: {command}"


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
