"""Lines of delimited text from a stream."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from io import BytesIO
from itertools import dropwhile
from typing import BinaryIO

import numpy as np

from backprop_cli.data.file import BOM, LONGEST_LINE, text_of, too_long
from backprop_cli.errors import DataError


class Lines:
    """Lines of a stream, as text or many together as bytes, with the number of the last one taken.

    ``blank``: numbers of the last lines if they are blank: cells of the only column, unless the file ends here.
    """

    def __init__(self, stream: BinaryIO, name: str):
        self.name, self.number = name, 0
        self.separator = ","
        self.blank: list[int] = []
        self.is_at_blank = False  # whether the last line read as text is blank
        self._size, self._first = 0, 1  # bytes of the record so far; its first line
        self._read = getattr(stream, "read1", stream.read)  # what a pipe has, without waiting for more
        self._pieces, self._split = deque[bytes](), deque[bytes]()  # bytes, after lines that are split already

    def __iter__(self) -> Lines:
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

    def _begin_record(self) -> int:
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

    def ahead(self, count: int) -> tuple[int, list[str], bool]:
        """The next ``count`` lines from the first that is not blank, without taking them.

        Returns: the number of the first, the lines, and whether no others follow.
        """
        blank = 0
        while True:
            block = self.take(blank + count)
            if block:
                self.give_back(block)
            found = [line.decode("utf-8", "replace") for line in BytesIO(block.removeprefix(BOM))]
            kept = list(dropwhile(str.isspace, found))
            ended = len(found) < blank + count
            blank = len(found) - len(kept)
            if ended or len(kept) >= count:
                return self.number + blank + 1, kept[:count], ended

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

    def records(self) -> Iterator[list[str]]:
        """The rows. Raises: DataError for a row that is not well formed."""
        reader = csv.reader(self, delimiter=self.separator, strict=True, skipinitialspace=True)
        while True:
            start = self._begin_record()
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(_malformed(self.name, start, self.number, str(error))) from error
            yield row

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
