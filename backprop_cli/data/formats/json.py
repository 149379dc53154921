"""A JSON array of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Generator, Iterator
from io import BytesIO
from typing import Any, BinaryIO, ClassVar

from backprop_cli.data.file import lines_of, text_of
from backprop_cli.data.format import FORMATS, Chunk, TableFormat
from backprop_cli.data.formats.jsonl import Jsonl, ObjectRows, RepeatedKeyError, checked, unique, unreadable
from backprop_cli.errors import DataError
from backprop_cli.json_object import not_json


@FORMATS.register
class Json(TableFormat):
    """A JSON array of objects, UTF-8; otherwise like jsonl, but the whole text is held in memory.

    A file that does not begin with ``[`` is read as JSON lines. Files: ``.json``, also with ``.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    typed: ClassVar[bool] = True

    def chunks(
        self, stream: BinaryIO, name: str, *, columns: Container[str] | None, rows: int | None, verbatim: bool
    ) -> Generator[Chunk, None, None]:
        lines = list(lines_of(stream, name))
        text = "".join(text_of(raw, name, number) for number, raw in enumerate(lines, 1))
        if not text.lstrip().startswith("["):
            data = BytesIO(b"".join(lines))
            yield from Jsonl().chunks(data, name, columns=columns, rows=rows, verbatim=verbatim)
            return
        found = ObjectRows(name, columns, rows)
        for row, line in _elements(text, name):
            found.add(row, line)
            if found.is_full:
                yield found.chunk()
        if found.lines:
            yield found.chunk()


def _elements(text: str, name: str) -> Iterator[tuple[dict[str, Any], int]]:
    """The objects of the array with which a text begins, and the line of each. Raises: DataError."""
    decoder, seen, line = json.JSONDecoder(object_pairs_hook=unique), 0, 1
    place = _skip(text, text.index("[") + 1)
    mark = text[place : place + 1] if text[place : place + 1] == "]" else ","
    while mark == ",":
        seen, line = place, line + text.count("\n", seen, place)
        try:
            row, end = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise _malformed(name, error) from error
        except (RecursionError, RepeatedKeyError, ValueError) as error:
            raise unreadable(f"{name}:{line}", error) from error
        yield checked(row, text[place:end], f"{name}:{line}"), line
        place = _skip(text, end)
        mark = text[place : place + 1]
        if mark == ",":
            place = _skip(text, place + 1)
    if mark != "]":
        raise _malformed(name, json.JSONDecodeError("Expecting ',' delimiter", text, place))
    if _skip(text, place + 1) < len(text):
        raise _malformed(name, json.JSONDecodeError("Extra data", text, _skip(text, place + 1)))


def _malformed(name: str, error: json.JSONDecodeError) -> DataError:
    return DataError(f"{name}:{error.lineno}: character {error.colno}: not JSON: {not_json(error)}")


_SPACE = re.compile(r"[ \t\n\r]*")


def _skip(text: str, place: int) -> int:
    """The first place from here on without white space."""
    found = _SPACE.match(text, place)
    return place if found is None else found.end()
