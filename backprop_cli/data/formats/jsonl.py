"""JSON lines."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Container, Generator, Sequence
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any, BinaryIO, ClassVar

from backprop_cli.data.file import lines_of, text_of
from backprop_cli.data.format import FORMATS, Chunk, TableFormat, rows_per_chunk
from backprop_cli.data.table import show
from backprop_cli.errors import DataError
from backprop_cli.json_object import not_json


@FORMATS.register
class Jsonl(TableFormat):
    """JSON lines, UTF-8: each line is an object whose values are numbers, texts, true, false or null.

    Text is a category even if it spells a number; true and false are 1 and 0 as inputs. Missing values are null, keys
    that a row lacks, and the texts of `data.missing_values`, if it is set. Blank lines are skipped. Files: ``.jsonl``,
    ``.ndjson``, also with ``.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    typed: ClassVar[bool] = True

    def chunks(
        self, stream: BinaryIO, name: str, *, columns: Container[str] | None, rows: int | None, verbatim: bool
    ) -> Generator[Chunk, None, None]:
        """A chunk has the keys of its rows as columns, in order of appearance."""
        found = ObjectRows(name, columns, rows)
        lines = enumerate(lines_of(stream, name), 1)
        size = 1  # the first line alone may have a byte order mark
        while batch := list(islice(lines, size)):
            size = min(_AT_ONCE, rows or _AT_ONCE)
            known = _objects(batch)
            for (number, raw), row in zip(batch, known or repeat(None), strict=False):
                if not raw.strip():
                    continue
                found.add(_object(text_of(raw, name, number), f"{name}:{number}") if row is None else row, number)
                if found.is_full:
                    yield found.chunk()
        if found.lines:
            yield found.chunk()


_AT_ONCE = 256
"""Lines to parse together."""


def _objects(batch: Sequence[tuple[int, bytes]]) -> list[dict[str, Any]] | None:
    """The objects of some lines, with their numbers; None if one of them may not be as ``_object`` wants it."""
    lines = [raw.strip() for _, raw in batch]
    if batch[0][0] == 1 or not all(line.startswith(b"{") and line.endswith(b"}") for line in lines):
        return None
    data = b",\n".join(lines)  # no object goes on behind a line feed: texts have none, and lists are refused
    try:
        rows = json.loads(f"[{data.decode()}]")
    except (ValueError, RecursionError):
        return None
    kinds = Counter(map(type, chain.from_iterable(map(dict.values, rows)))) if _are_objects(rows) else Counter()
    if len(rows) != len(lines) or not _CELLS.issuperset(kinds):
        return None
    # A repeated key has quotes in the text, and no entry in the object.
    texts = kinds[str] + sum(map(len, rows))
    if data.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"') != 2 * texts:
        return None
    return None if _HALF.search(data) and not _are_characters(rows) else rows


_CELLS = {str, int, float, bool, type(None)}
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""The beginning of an escape that is half a character."""


def _are_objects(rows: list[Any]) -> bool:
    return {dict}.issuperset(map(type, rows))


def _are_characters(rows: list[dict[str, Any]]) -> bool:
    """Whether the texts have no halves of surrogate pairs."""
    try:
        "".join(text for row in rows for pair in row.items() for text in pair if isinstance(text, str)).encode()
    except UnicodeEncodeError:
        return False
    return True


class ObjectRows:
    """Collects the rows of the next chunk, and counts the keys of all rows so far.

    ``columns``: those whose cells are kept; None: all. ``most``: rows of a chunk.
    """

    def __init__(self, name: str, columns: Container[str] | None, most: int | None):
        self.name, self.columns, self._most = name, columns, most or sys.maxsize
        self._known: set[str] = set()
        self._cells = self._count = 0
        self._clear()

    def _clear(self) -> None:
        self._objects: list[dict[str, Any]] = []
        self._keys: dict[str, Any] = {}
        self._size = 0  # rows of a chunk with these keys
        self.lines: list[int] = []

    def add(self, row: dict[str, Any], line: int) -> None:
        """Add the row that begins on a line."""
        self._objects.append(row)
        self.lines.append(line)
        known = len(self._keys)
        self._keys.update(row)
        if len(self._keys) != known or not self._size:
            self._size = min(self._most, rows_per_chunk(len(self._keys)))

    @property
    def is_full(self) -> bool:
        """Whether the chunk has enough rows, or enough cells, counting those that its rows lack."""
        return len(self.lines) >= self._size

    def chunk(self) -> Chunk:
        """The rows since the last chunk. Raises: DataError if most rows have their own keys, not columns."""
        wanted = [key for key in self._keys if self.columns is None or key in self.columns]
        self._known.update(wanted)
        self._count += len(self.lines)
        self._cells += sum(map(len, self._objects))
        table = self._count * len(self._known)
        if table > _LARGE and self._cells < _FILLED * table:
            raise DataError(
                f"{self.name}: its first {self._count:,} rows have {len(self._known):,} different keys, and a row has "
                f"{self._cells / self._count:.3g}; keys are columns, which rows should share: name those to use in "
                "data.features"
            )
        columns: dict[str, Any] = dict.fromkeys(self._keys, ())
        columns |= {key: self._cells_of(key) for key in wanted}
        found = Chunk(columns, self.lines)
        self._clear()
        return found

    def _cells_of(self, key: str) -> list[Any]:
        try:
            return list(map(itemgetter(key), self._objects))
        except KeyError:  # some rows lack it
            return [row.get(key) for row in self._objects]


_LARGE = 5_000_000
_FILLED = 0.01
"""Least share of filled cells in a table with more than ``_LARGE`` cells."""


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        if re.match(r"\s*\[\s*({|$)", text):
            raise DataError(f"{where}: {_ARRAY}") from error
        if text.lstrip().startswith("{") and error.pos >= len(text.rstrip()):
            raise DataError(f"{where}: {_GOES_ON}") from error
        raise DataError(f"{where}: character {error.colno}: not JSON: {not_json(error)}") from error
    except (RecursionError, RepeatedKeyError, ValueError) as error:
        raise unreadable(where, error) from error
    if isinstance(row, list) and row and isinstance(row[0], dict):
        raise DataError(f"{where}: {_ARRAY}")
    return checked(row, text, where)


def unreadable(where: str, error: Exception) -> DataError:
    """The message about an object that is well formed, and cannot be read."""
    if isinstance(error, RecursionError):
        return DataError(f"{where}: lists or objects are nested too deeply")
    if isinstance(error, RepeatedKeyError):
        return DataError(f"{where}: {error}")
    most = sys.get_int_max_str_digits()
    return DataError(f"{where}: a number has more than {most:,} digits; if it is a name, write it as text")


def checked(row: Any, text: str, where: str) -> dict[str, Any]:
    """The row that a ``text`` holds. Raises: DataError if it is not an object of values that a table can have."""
    if "\\u" in text:
        _refuse_halves(row, where)
    if not isinstance(row, dict):
        raise DataError(f'{where}: expected an object such as {{"x": 1.5}}, got {show(row)}')
    for key, value in row.items():
        if isinstance(value, dict | list):
            raise DataError(f"{where}: column '{key}': expected a number, text, true, false or null, got {show(value)}")
    return row


_ARRAY = (
    "is a JSON array, expected JSON lines: one object per line, without enclosing brackets and commas; "
    "convert it with `jq -c '.[]' old > new`"
)


_GOES_ON = (
    "the object does not end on this line, expected JSON lines: one object per line; if it continues on the next line, "
    "convert the file with `jq -c . old > new`"
)


def _refuse_halves(row: Any, where: str) -> None:
    """Refuse halves of surrogate pairs, which are not characters. Raises: DataError."""
    texts = [each for pair in row.items() for each in pair if isinstance(each, str)] if isinstance(row, dict) else []
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(text[error.start]):04x}"
            raise DataError(
                f"{where}: {half} is half a character; write both halves or the character itself"
            ) from error


class RepeatedKeyError(Exception):
    """An object names one key twice."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object from its keys and values. Raises: RepeatedKeyError."""
    row = dict(pairs)
    if len(row) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise RepeatedKeyError(f"key '{key}' occurs twice in this object")
    return row
