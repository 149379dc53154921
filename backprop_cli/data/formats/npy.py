"""NumPy's ``.npy`` files: the header, checks of sizes before allocation, and the values."""

from __future__ import annotations

import ast
import math
import re
import struct
import warnings
from typing import Any, BinaryIO, ClassVar, Literal

import numpy as np
from numpy.lib import format as npy

from backprop_cli.data.file import DataFile, file_errors
from backprop_cli.data.format import FORMATS, ArrayFormat, as_text, check_numeric, check_shape
from backprop_cli.data.table import Array, show
from backprop_cli.errors import DataError
from backprop_cli.memory import shortage
from backprop_cli.structs import Struct

CUT_OFF = "the file is cut off; fetch or save it again"
MAGIC = b"\x93NUMPY"
_VERSIONS = {b"\1\0": ("<H", "latin1"), b"\2\0": ("<I", "latin1"), b"\3\0": ("<I", "utf-8")}
_LONGEST = 10_000  # characters of a header, as in NumPy
_MOST_AXES = 32
_PIECE = 1 << 20
PICKLED = "reading Python objects can run code, so bp never does; save numbers or text, such as array.astype(float)"


class Header(Struct):
    """The dtype, shape and memory order of the values that follow a header."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"] = "C"

    @property
    def nbytes(self) -> int:
        """Bytes of the values, a Python integer, which does not overflow."""
        return self.dtype.itemsize * math.prod(self.shape)

    def check(self, place: str) -> None:
        """Raise DataError for an array without values, or with more axes or bytes than possible."""
        check_shape(self.shape, place)
        if len(self.shape) > _MOST_AXES:
            raise DataError(f"{place}: has {len(self.shape)} axes by its header; fetch or save it again")
        found = shortage(self.nbytes)
        if found is not None:
            raise DataError(f"{place}: an array of the shape {list(self.shape)} takes {found}; fetch or save it again")


def npy_header(stream: BinaryIO, place: str) -> Header:
    """The header of an ``.npy`` file; afterwards the stream is at the first value.

    Raises: DataError if it is cut off or damaged, or announces Python objects.
    """
    begin = stream.read(len(MAGIC) + 2)
    size, encoding = _VERSIONS.get(begin.removeprefix(MAGIC), ("", ""))
    if not size:
        raise DataError(f"{place}: a damaged .npy file: its first bytes are {begin.hex(' ')}")
    raw = stream.read(struct.calcsize(size))
    length = struct.unpack(size, raw)[0] if len(raw) == struct.calcsize(size) else _LONGEST
    text = stream.read(min(length, _LONGEST))
    if len(text) < length:
        raise DataError(f"{place}: {CUT_OFF}")
    try:
        dtype, shape, is_fortran = _parsed(text.decode(encoding))
    except Exception as error:
        # The parsers of literals and of dtypes raise exceptions of many types.
        raise DataError(f"{place}: a damaged .npy file: its header is {show(text.decode('latin1').strip())}") from error
    if dtype.hasobject:
        raise DataError(f"{place}: holds pickled objects: {PICKLED}")
    return Header(dtype, shape, "F" if is_fortran else "C")


def _parsed(text: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Raises: exceptions of any type for text that is not a header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the style of a damaged text
        fields = ast.literal_eval(re.sub(r"(?<=\d)L\b", "", text))  # Python 2 wrote 3L
        dtype = npy.descr_to_dtype(fields["descr"])
    shape, is_fortran = fields["shape"], fields["fortran_order"]
    is_shape = type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape)
    if not is_shape or type(is_fortran) is not bool or len(fields) != 3:
        raise ValueError(text)
    return dtype, shape, is_fortran


def mapped(path: Any, header: Header, offset: int, size: int, place: str) -> Array:
    """The values in a file of ``size`` bytes, memory-mapped. Raises: DataError if it is too short."""
    header.check(place)
    if header.nbytes > size - offset:
        raise DataError(f"{place}: {CUT_OFF}")
    return np.memmap(path, header.dtype, "r", offset, header.shape, header.order)


def read_values(stream: BinaryIO, header: Header, place: str) -> Array:
    """The next values of a stream, in one buffer. Raises: DataError if it ends before or continues after them."""
    header.check(place)
    array = np.empty(header.shape, header.dtype, header.order)
    view = memoryview(array.ravel("K").view(np.uint8).data)
    done = 0
    while done < len(view):
        # In pieces: gzip copies what it reads.
        count = stream.readinto(view[done : done + _PIECE])  # type: ignore[attr-defined]
        if not count:
            raise DataError(
                f"{place}: has {done:,} bytes of values, expected {len(view):,} by its header; fetch the file again"
            )
        done += count
    if stream.read(1):
        raise DataError(
            f"{place}: continues after the {len(view):,} bytes of values in its header; fetch the file again"
        )
    return array


@FORMATS.register
class Npy(ArrayFormat):
    """One NumPy array (``np.save``), whose first axis is the row. The fields of a structured array are columns.

    The file is mapped into memory, not read at once. Arrays of Python objects are refused. Files: ``.npy``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    def arrays(self, file: DataFile) -> dict[str, Array]:
        """The array under the name ``""``, or a structured array's fields by name."""
        array = self._load(file)
        if array.dtype.names is None:
            check_numeric(array, file.name)
            return {"": as_text(array, file.name)}
        places = {field: f"{file.name}: field '{field}'" for field in array.dtype.names}
        for field, place in places.items():
            check_numeric(array[field], place)
        return {field: as_text(array[field], place) for field, place in places.items()}

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        array = self._load(file)
        return dict.fromkeys(array.dtype.names or ("",), array.shape)

    @staticmethod
    def _load(file: DataFile) -> Array:
        file.check()
        if file.is_gzip:
            raise DataError(f"{file.name}: a packed .npy cannot be read; unpack it with gunzip")
        check_magic(file, MAGIC, "npy")
        with file_errors(file.name), file.path.open("rb") as stream:
            header = npy_header(stream, file.name)
            return mapped(file.path, header, stream.tell(), file.path.stat().st_size, file.name)


def check_magic(file: DataFile, magic: bytes, kind: str) -> None:
    """Refuse a file that does not begin with ``magic``. Raises: DataError."""
    with file_errors(file.name), file.path.open("rb") as stream:
        begin = stream.read(len(magic))
    if begin.startswith(b"\x80"):
        raise DataError(f"{file.name}: is a pickle: {PICKLED}")
    if begin != magic:
        raise DataError(f"{file.name}: not an .{kind} file: it begins with {begin.hex(' ')}, expected {magic.hex(' ')}")
