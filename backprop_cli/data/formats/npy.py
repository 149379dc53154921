"""One NumPy array in a file."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from backprop_cli.data.file import DataFile, reading
from backprop_cli.data.format import FORMATS, ArrayFormat, as_text, check_numeric
from backprop_cli.data.table import Array
from backprop_cli.errors import DataError


@FORMATS.register
class Npy(ArrayFormat):
    """One NumPy array (``np.save``), the first axis being the row. A structured array has a column a field.

    The file is mapped into memory, not read at once. Arrays of Python objects are refused. Files: ``.npy``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    def arrays(self, file: DataFile) -> dict[str, Array]:
        """The array under the name ``""``, or a structured array's fields by name."""
        array = self._load(file)
        if array.dtype.names is None:
            check_numeric(array, file.name)
            return {"": as_text(array)}
        for field in array.dtype.names:
            check_numeric(array[field], f"{file.name}: field '{field}'")
        return {field: as_text(array[field]) for field in array.dtype.names}

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        """The file is mapped, not read."""
        array = self._load(file)
        return dict.fromkeys(array.dtype.names or ("",), array.shape)

    @staticmethod
    def _load(file: DataFile) -> Array:
        file.check()
        if file.is_gzip:
            raise DataError(f"{file.name}: a packed .npy cannot be read; unpack it with gunzip")
        check_magic(file, b"\x93NUMPY", "npy")
        try:
            with reading(file.name):
                array: Array = np.load(file.path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise DataError(f"{file.name}: {refusal(error, 'npy')}") from error
        return array


def check_magic(file: DataFile, magic: bytes, kind: str) -> None:
    """Refuse a file that does not begin with ``magic``. Raises: DataError."""
    with reading(file.name), file.path.open("rb") as stream:
        begin = stream.read(len(magic))
    if begin.startswith(b"\x80"):
        raise DataError(f"{file.name}: is a pickle: {_PICKLED}")
    if begin != magic:
        raise DataError(f"{file.name}: not an .{kind} file: it begins with {begin.hex(' ')}, expected {magic.hex(' ')}")


_PICKLED = (
    "Python objects can run code when they are read, so they never are; "
    "save numbers or text, such as array.astype(float)"
)


def refusal(error: Exception, kind: str) -> str:
    """Why NumPy did not load an array, and the way out."""
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return f"holds pickled objects: {_PICKLED}"
    if any(words in str(error) for words in ("mmap length", "EOF", "not a zip file")):
        return "the file is cut off; fetch or save it again"
    return f"not a sound .{kind} file: {error}"
