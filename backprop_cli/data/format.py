"""The contract of a data format, and the choice of a file's format."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import numpy as np
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from backprop_cli.data.cells import Coded, TextCells
from backprop_cli.data.file import STANDARD_INPUT, DataFile
from backprop_cli.data.reading import Reading
from backprop_cli.data.table import Array, show
from backprop_cli.errors import DataError
from backprop_cli.registry import Registry

CELLS_PER_CHUNK = 200_000
_LEAST_ROWS = 64  # of a chunk, whose cost per column does not depend on its rows


def rows_per_chunk(columns: int) -> int:
    """Rows to read at a time from a table with this many columns."""
    return max(_LEAST_ROWS, CELLS_PER_CHUNK // max(1, columns))


class Chunk(NamedTuple):
    """Consecutive rows of a text file.

    ``columns``: each column's cells: as in the file, by their distinct values, or a float64 array if they are known to
    be numbers (NaN: missing). ``lines``: the line on which each row begins, from 1. ``separator``: what separates the
    fields, if it is not the format's own.
    """

    columns: Mapping[str, Sequence[Any] | Array | Coded | TextCells]
    lines: Sequence[int] | Array
    separator: str | None = None


class Format:
    """A kind of data file."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes of file names (lower case); ``.gz`` may follow."""

    default_target: ClassVar[str | None] = None
    """The target if ``data.target`` is not set."""
    no_target: ClassVar[str] = ""
    """The message, after the file's name, if the file lacks ``default_target``."""
    reads_images: ClassVar[bool] = False
    """Whether a folder of images is read as one file, according to ``data.image``."""

    @classmethod
    def matches(cls, name: str) -> bool:
        """Whether a file called ``name`` has this format. ``name`` is lower case, without ``.gz``; a folder ends in
        ``/``.
        """
        return name.endswith(cls.suffixes)

    def configured(self, reading: Reading) -> Format:
        """The format with its own settings in ``reading``."""
        return self


class TableFormat(Format):
    """Rows of named cells, read as a stream."""

    typed: ClassVar[bool] = False
    """Whether the format distinguishes text from numbers (JSON does, CSV does not)."""

    def chunks(
        self, stream: BinaryIO, name: str, *, columns: Container[str] | None, rows: int | None, verbatim: bool
    ) -> Generator[Chunk, None, None]:
        """The rows in order; of a format with a header, first a chunk without rows that has the columns.

        ``columns``: those that will be used (None: all); others may be left unread. ``rows``: most rows of a chunk
        (None: about 200,000 cells). ``verbatim``: keep cells, and yield no arrays of numbers. ``name`` is for messages.

        Raises: DataError with the line of malformed text.
        """
        raise NotImplementedError


class ArrayFormat(Format):
    """Named arrays whose first axis is the row."""

    def arrays(self, file: DataFile) -> dict[str, Array]:
        """The arrays by name, ``""`` if the format has no names; memory-mapped if that spares a copy.

        Raises: DataError if the file is damaged or holds Python objects.
        """
        raise NotImplementedError

    def pieces(self, file: DataFile, rows: int) -> Iterator[dict[str, Array]]:
        """The arrays some rows at a time; all at once if they are memory-mapped, or cannot be read in pieces."""
        yield self.arrays(file)

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        """The arrays' shapes, without reading their values."""
        raise NotImplementedError

    def names(self, file: DataFile) -> list[str] | None:
        """The name of each row, if rows are files of their own."""
        return None


class TextFormat(Format):
    """A text without rows."""

    def read(self, file: DataFile) -> str:
        """The whole text, with lines ending in a newline. Raises: DataError if it is not text."""
        raise NotImplementedError


def no_rows(name: str) -> DataError:
    """The error for a text in place of a table."""
    return DataError(f"{name}: is a text, expected rows; name a table, or set its format (csv, tsv, jsonl)")


def no_arrays(name: str) -> DataError:
    """The error for a stream in a format that needs a file."""
    return DataError(f"{name}: arrays cannot be read from a stream; give a file, or csv, tsv or jsonl")


def too_large(reason: str) -> DataError:
    """The error for data that does not fit into memory."""
    return DataError(f"the data does not fit into memory: {reason}; use fewer rows or columns (data.features)")


FORMATS: Registry[Format] = Registry("format", "formats", "backprop_cli.data.formats", Format)


class FormatName:
    """Pydantic marker: the name of a format, looked up when a value is read."""

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
    """The format of a file called ``name``: ``override``, or the one of its suffix. ``option`` sets it, in messages.

    Standard input is csv unless ``override`` says otherwise.

    Raises: DataError for an unknown suffix, with the known ones.
    """
    if override is not None:
        return FORMATS[override]()
    if name == STANDARD_INPUT:
        return FORMATS["csv"]()
    plain = name.lower().removesuffix(".gz")
    found = next((cls for cls in _candidates(plain) if cls.matches(plain)), None)
    if found is not None:
        return found()
    known = ", ".join(sorted({suffix for _, cls in FORMATS.items() for suffix in cls.suffixes}))
    raise DataError(f"{name}: unknown format; known suffixes: {known}; or set {option} ({', '.join(FORMATS)})")


def is_table(path: Path) -> bool:
    """Whether ``path`` is a file that is called like a table."""
    try:
        return path.is_file() and isinstance(format_of(path.name), TableFormat)
    except (DataError, OSError, ValueError):
        return False


def _candidates(name: str) -> Iterator[type[Format]]:
    """Formats that may match. The one named like the suffix comes first: looking it up imports no other."""
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
    """Raise DataError for a scalar, an array without rows, or rows without values."""
    if not shape:
        raise DataError(f"{place}: is a single value; expected one entry per row")
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
            raise DataError(f"{place}: row {row} (from 0): its text has an invalid character; save it again")
    return array


_LAST_CHARACTER = 0x10FFFF
_SURROGATES = 0xD800 >> 11
