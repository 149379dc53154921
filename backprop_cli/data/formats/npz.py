"""Several NumPy arrays in a file."""

from __future__ import annotations

import zipfile
from typing import ClassVar

import numpy as np

from backprop_cli.data.file import DataFile, reading
from backprop_cli.data.format import FORMATS, ArrayFormat, as_text, check_numeric
from backprop_cli.data.formats.npy import check_magic, refusal
from backprop_cli.data.table import Array
from backprop_cli.errors import DataError


@FORMATS.register
class Npz(ArrayFormat):
    """Named NumPy arrays (``np.savez``), the first axis being the row; `target` and `features` name arrays.

    An array of one number or text a row is a column, any other is a block of columns; the only array of inputs keeps
    the shape of its rows. Arrays of Python objects are refused. Files: ``.npz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    def arrays(self, file: DataFile) -> dict[str, Array]:
        """All arrays by name. Pickled ones are refused."""
        file.check()
        check_magic(file, b"PK", "npz")
        try:
            # Opened here: np.load would leave a damaged file open.
            with reading(file.name), file.path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                return {name: self._array(archive, name, f"{file.name}: array '{name}'") for name in archive.files}
        except (ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{file.name}: {refusal(error, 'npz')}") from error

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        """From the headers alone."""
        file.check()
        check_magic(file, b"PK", "npz")
        try:
            with reading(file.name), zipfile.ZipFile(file.path) as archive:
                return {name.removesuffix(".npy"): _shape(archive, name) for name in archive.namelist()}
        except (ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{file.name}: {refusal(error, 'npz')}") from error

    @staticmethod
    def _array(archive: np.lib.npyio.NpzFile, name: str, place: str) -> Array:
        try:
            with reading(place):
                array = np.asarray(archive[name])
        except (ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{place} {refusal(error, 'npz')}") from error
        check_numeric(array, place)
        return as_text(array)


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    with archive.open(name) as member:
        if np.lib.format.read_magic(member) == (1, 0):
            return np.lib.format.read_array_header_1_0(member)[0]
        return np.lib.format.read_array_header_2_0(member)[0]
