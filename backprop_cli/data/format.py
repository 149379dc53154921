"""The contract of a data format, and how a file's format is found."""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import numpy as np
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from backprop_cli.data.file import DataFile
from backprop_cli.data.reading import ImageSettings
from backprop_cli.data.table import Array, show
from backprop_cli.errors import DataError
from backprop_cli.registry import Registry

CELLS_PER_CHUNK = 200_000
_LEAST_ROWS = 64  # of a chunk: each has a cost per column, however few its rows


def rows_per_chunk(columns: int) -> int:
    """Rows to read at a time from a table with this many columns."""
    return max(_LEAST_ROWS, CELLS_PER_CHUNK // max(1, columns))


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows of a text file.

    ``columns``: each column's cells, as they stand in the file, or a float64 array where they are known to be numbers
    (NaN: missing). ``lines``: the line on which each row begins, from 1. ``text`` returns the cells of a column
    of numbers as they are in the file; None for formats without text. ``padded``: some may have leading zeros (007).
    """

    columns: Mapping[str, Sequence[Any] | Array]
    lines: Sequence[int] | Array
    text: Callable[[str], Sequence[str]] | None = None
    padded: bool = False


class Format:
    """A kind of data file."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Ends of file names (lower case) that mean this format; ``.gz`` may follow."""

    default_target: ClassVar[str | None] = None
    """What is predicted where ``data.target`` says nothing."""
    no_target: ClassVar[str] = ""
    """What is said of a file that does not have it."""
    reads_images: ClassVar[bool] = False
    """Whether a folder of images is read as one file, as ``data.image`` says."""

    @classmethod
    def matches(cls, name: str) -> bool:
        """Whether a file called ``name`` (lower case, without ``.gz``; a folder ends in ``/``) is of this format."""
        return name.endswith(cls.suffixes)

    def configured(self, image: ImageSettings | None) -> Format:
        """The same, reading images as ``image`` says."""
        return self


class TableFormat(Format):
    """Rows of named cells, read as a stream."""

    typed: ClassVar[bool] = False
    """Whether the format itself tells text from numbers (JSON does, CSV does not)."""

    def chunks(
        self, stream: BinaryIO, name: str, *, columns: Container[str] | None, rows: int | None, verbatim: bool
    ) -> Generator[Chunk, None, None]:
        """The rows in order; where there is a header, first a chunk without rows that has the columns.

        ``columns`` are those that will be looked at (None: all): others may be left unread. ``rows`` is the most a
        chunk may have (None: about 200,000 cells). ``verbatim``: cells are kept, none come as arrays of numbers.
        ``name`` is for messages.

        Raises: DataError with the line of what is not well formed.
        """
        raise NotImplementedError


class ArrayFormat(Format):
    """Named arrays whose first axis is the row."""

    def arrays(self, file: DataFile) -> dict[str, Array]:
        """The arrays by name, ``""`` where the format has no names; memory-mapped where that spares a copy.

        Raises: DataError where the file is damaged or holds Python objects.
        """
        raise NotImplementedError

    def pieces(self, file: DataFile, rows: int) -> Iterator[dict[str, Array]]:
        """The arrays some rows at a time; at once where they are not held in memory, or cannot be told apart."""
        yield self.arrays(file)

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        """The arrays' shapes, without reading their values."""
        raise NotImplementedError

    def names(self, file: DataFile) -> list[str] | None:
        """What each row is called, where rows are files of their own."""
        return None


class TextFormat(Format):
    """A text without rows."""

    def read(self, file: DataFile) -> str:
        """The whole text, lines ending with a newline. Raises: DataError where it is none."""
        raise NotImplementedError


def no_rows(name: str) -> DataError:
    """What is said of a text where a table is needed."""
    return DataError(f"{name}: is a text, expected rows; name a table, or say its format (csv, tsv, jsonl)")


def too_large(reason: str) -> DataError:
    """The error for data that does not fit into memory."""
    return DataError(f"the data does not fit into memory: {reason}; use fewer rows or columns (data.features)")


FORMATS: Registry[Format] = Registry("format", "formats", "backprop_cli.data.formats", Format)


class FormatName:
    """Pydantic marker: text that is the name of a format. Which there are is looked up when a value is read."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Any:
            if not isinstance(value, str) or value not in FORMATS:
                *names, last = map(repr, FORMATS)
                raise PydanticKnownError("literal_error", {"expected": f"{', '.join(names)} or {last}"})
            return value

        return core_schema.no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": list(FORMATS), "type": "string"}


def format_of(name: str, override: str | None = None, *, option: str = "data.format") -> Format:
    """The format of a file called ``name``: ``override``, or what the suffix says. ``option`` is where to name one.

    Raises: DataError for an unknown suffix, with those that are known.
    """
    if override is not None:
        return FORMATS[override]()
    plain = name.lower().removesuffix(".gz")
    found = next((cls for cls in _candidates(plain) if cls.matches(plain)), None)
    if found is not None:
        return found()
    known = ", ".join(sorted({suffix for _, cls in FORMATS.items() for suffix in cls.suffixes}))
    raise DataError(f"{name}: unknown format; known suffixes: {known}; or set {option} ({', '.join(FORMATS)})")


def _candidates(name: str) -> Iterator[type[Format]]:
    """Formats that may match. The one called as the suffix comes first: its look-up imports no other."""
    suffix = name.rpartition(".")[2]
    if suffix in FORMATS:
        yield FORMATS[suffix]
    yield from (cls for _, cls in FORMATS.items())


def check_numeric(array: Array, place: str) -> None:
    """Refuse arrays of anything but real numbers, booleans and text. Raises: DataError."""
    if array.dtype.kind not in "biufUS":
        raise DataError(f"{place}: holds {array.dtype}; expected numbers or text")
    check_shape(array.shape, place)


def check_shape(shape: tuple[int, ...], place: str) -> None:
    """Raises: DataError for a scalar, an array without rows, or rows without values."""
    if not shape:
        raise DataError(f"{place}: is a single value; expected one entry a row")
    if shape[0] == 0:
        raise DataError(f"{place}: has no rows")
    if 0 in shape:
        raise DataError(f"{place}: its rows are empty, shape {list(shape)}")


def as_text(array: Array, place: str) -> Array:
    """Bytes decoded as text; other arrays unchanged. Raises: DataError for invalid text."""
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{place}: not UTF-8 text: {show(error.object)}; save it as text (astype(str))") from error
    if array.dtype.kind == "U" and array.dtype.itemsize:
        points = np.ascontiguousarray(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        wrong = ((points > _LAST_CHARACTER) | (points >> 11 == _SURROGATES)).reshape(len(array), -1)
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            raise DataError(f"{place}: row {row} (from 0): its text has something that is no character; save it again")
    return array


_LAST_CHARACTER = 0x10FFFF
_SURROGATES = 0xD800 >> 11
