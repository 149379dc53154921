"""JSON lines."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from typing import Any, BinaryIO, ClassVar

from backprop_cli.data.format import CELLS_PER_CHUNK, FORMATS, Chunk, TableFormat
from backprop_cli.data.table import show
from backprop_cli.data.text import text_of
from backprop_cli.errors import DataError


@FORMATS.register
class Jsonl(TableFormat):
    """JSON lines, UTF-8: one object a line, whose values are numbers, texts, true, false or null.

    Text is a category even where it spells a number; true and false are 1 and 0 as inputs. null, a key
    that a row lacks, and the texts that csv takes for missing are missing values. Blank lines are skipped.
    Files: ``.jsonl``, ``.ndjson``, also with ``.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    typed: ClassVar[bool] = True

    def chunks(
        self, stream: BinaryIO, name: str, *, columns: Container[str] | None, rows: int | None, verbatim: bool
    ) -> Iterator[Chunk]:
        """The columns of a chunk are the keys that its rows have, in order of appearance."""
        objects: list[dict[str, Any]] = []
        lines: list[int] = []
        for number, raw in enumerate(stream, 1):
            if not raw.strip():
                continue
            objects.append(_object(text_of(raw, name, number), f"{name}:{number}"))
            lines.append(number)
            limit = max(1, CELLS_PER_CHUNK // len(objects[0])) if objects[0] else 1
            if len(objects) >= (limit if rows is None else min(rows, limit)):
                yield _chunk(objects, lines)
                objects, lines = [], []
        if objects:
            yield _chunk(objects, lines)


def _chunk(objects: list[dict[str, Any]], lines: list[int]) -> Chunk:
    keys = dict.fromkeys(key for row in objects for key in row)
    return Chunk({key: [row.get(key) for row in objects] for key in keys}, lines)


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: character {error.colno}: not JSON: {error.msg}") from error
    except (_RepeatedKeyError, RecursionError, ValueError) as error:
        raise DataError(f"{where}: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f'{where}: expected an object such as {{"x": 1.5}}, got {show(row)}')
    for key, value in row.items():
        if isinstance(value, dict | list):
            raise DataError(f"{where}: column '{key}': expected a number, text, true, false or null, got {show(value)}")
    return row


class _RepeatedKeyError(Exception):
    """An object names one key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(f"key '{next(key for key in keys if keys.count(key) > 1)}' stands twice in this object")
    return row
