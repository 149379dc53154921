"""One NumPy array in a file."""

from __future__ import annotations

from typing import ClassVar

from backprop_cli.data.file import DataFile, reading
from backprop_cli.data.format import FORMATS, ArrayFormat, as_text, check_numeric
from backprop_cli.data.raw import MAGIC, PICKLED, mapped, npy_header
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
            return {"": as_text(array, file.name)}
        places = {field: f"{file.name}: field '{field}'" for field in array.dtype.names}
        for field, place in places.items():
            check_numeric(array[field], place)
        return {field: as_text(array[field], place) for field, place in places.items()}

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        """The file is mapped, not read."""
        array = self._load(file)
        return dict.fromkeys(array.dtype.names or ("",), array.shape)

    @staticmethod
    def _load(file: DataFile) -> Array:
        file.check()
        if file.is_gzip:
            raise DataError(f"{file.name}: a packed .npy cannot be read; unpack it with gunzip")
        check_magic(file, MAGIC, "npy")
        with reading(file.name), file.path.open("rb") as stream:
            header = npy_header(stream, file.name)
            return mapped(file.path, header, stream.tell(), file.path.stat().st_size, file.name)


def check_magic(file: DataFile, magic: bytes, kind: str) -> None:
    """Refuse a file that does not begin with ``magic``. Raises: DataError."""
    with reading(file.name), file.path.open("rb") as stream:
        begin = stream.read(len(magic))
    if begin.startswith(b"\x80"):
        raise DataError(f"{file.name}: is a pickle: {PICKLED}")
    if begin != magic:
        raise DataError(f"{file.name}: not an .{kind} file: it begins with {begin.hex(' ')}, expected {magic.hex(' ')}")
