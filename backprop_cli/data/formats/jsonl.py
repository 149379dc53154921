"""JSON lines."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Container, Generator
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
        found = _Rows(name, columns, rows)
        for number, raw in enumerate(lines_of(stream, name), 1):
            if not raw.strip():
                continue
            found.add(_object(text_of(raw, name, number), f"{name}:{number}"), number)
            if found.is_full:
                yield found.chunk()
        if found.lines:
            yield found.chunk()


class _Rows:
    """Collects the rows of the next chunk, and counts the keys of all rows so far."""

    def __init__(self, name: str, columns: Container[str] | None, most: int | None):
        self.name, self.columns, self._most = name, columns, most or sys.maxsize
        self._known: set[str] = set()
        self._cells = self._count = 0
        self._clear()

    def _clear(self) -> None:
        self._objects: list[dict[str, Any]] = []
        self._keys: dict[str, Any] = {}
        self.lines: list[int] = []

    def add(self, row: dict[str, Any], line: int) -> None:
        self._objects.append(row)
        self._keys.update(row)
        self.lines.append(line)

    @property
    def is_full(self) -> bool:
        """Whether the chunk has enough rows, or enough cells, counting those that its rows lack."""
        return len(self.lines) >= min(self._most, rows_per_chunk(len(self._keys)))

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
        columns |= {key: [row.get(key) for row in self._objects] for key in wanted}
        found = Chunk(columns, self.lines)
        self._clear()
        return found


_LARGE = 5_000_000
_FILLED = 0.01
"""Least share of filled cells in a table with more than ``_LARGE`` cells."""


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        if re.match(r"\s*\[\s*({|$)", text):
            raise DataError(f"{where}: {_ARRAY}") from error
        if text.lstrip().startswith("{") and error.pos >= len(text.rstrip()):
            raise DataError(f"{where}: {_GOES_ON}") from error
        raise DataError(f"{where}: character {error.colno}: not JSON: {not_json(error)}") from error
    except RecursionError as error:
        raise DataError(f"{where}: lists or objects are nested too deeply") from error
    except _RepeatedKeyError as error:
        raise DataError(f"{where}: {error}") from error
    except ValueError as error:
        most = sys.get_int_max_str_digits()
        raise DataError(
            f"{where}: a number has more than {most:,} digits; if it is a name, write it as text"
        ) from error
    if isinstance(row, list) and row and isinstance(row[0], dict):
        raise DataError(f"{where}: {_ARRAY}")
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


class _RepeatedKeyError(Exception):
    """An object names one key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise _RepeatedKeyError(f"key '{key}' occurs twice in this object")
    return row
