"""Several NumPy arrays in a file."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, ClassVar, cast

import numpy as np

from backprop_cli.data.file import DataFile
from backprop_cli.data.format import FORMATS, ArrayFormat, as_text, check_numeric
from backprop_cli.data.formats.npy import CUT_OFF, Header, check_magic, npy_header, read_values
from backprop_cli.data.table import Array
from backprop_cli.errors import DataError

_SUFFIX = ".npy"


@FORMATS.register
class Npz(ArrayFormat):
    """Named NumPy arrays (``np.savez``), whose first axis is the row; `target` and `features` name arrays.

    An array of one number or text a row is a column, any other is a block of columns. A single array of inputs keeps
    the shape of its rows. Text is a category, as in JSON lines, unless `data.numbers` gives its spelling of numbers.
    Arrays of Python objects are refused. Files: ``.npz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    def arrays(self, file: DataFile) -> dict[str, Array]:
        with _archive(file) as (archive, names):
            return {name: _array(archive, member, f"{file.name}: array '{name}'") for name, member in names.items()}

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        found = {}
        with _archive(file) as (archive, names):
            for name, member in names.items():
                place = f"{file.name}: array '{name}'"
                with _damage_as_data_error(place), archive.open(member) as stream:
                    found[name] = _header(stream, place, archive.getinfo(member)).shape
        return found


def write_arrays(stream: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """Write the bytes of ``np.savez``, whose own arguments (``file``, ``allow_pickle``) cannot be names of arrays."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}{_SUFFIX}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


@contextmanager
def _archive(file: DataFile) -> Iterator[tuple[zipfile.ZipFile, dict[str, str]]]:
    """The opened archive, and each array's member by the array's name."""
    file.check()
    check_magic(file, b"PK", "npz")
    with _damage_as_data_error(file.name), file.path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        members = archive.namelist()
        names = {member.removesuffix(_SUFFIX): member for member in members}
        if len(names) < len(members):
            raise DataError(f"{file.name}: two of its arrays have the same name; save it again")
        yield archive, names


def _array(archive: zipfile.ZipFile, member: str, place: str) -> Array:
    with _damage_as_data_error(place), archive.open(member) as stream:
        header = _header(stream, place, archive.getinfo(member))
        array = read_values(cast(BinaryIO, stream), header, place)
    check_numeric(array, place)
    return as_text(array, place)


def _header(stream: object, place: str, info: zipfile.ZipInfo) -> Header:
    """The header, checked against the size in the archive before allocation."""
    file = cast(BinaryIO, stream)
    header = npy_header(file, place)
    if header.dtype.names is not None:
        raise DataError(f"{place}: holds {header.dtype}; expected numbers or text")
    size = info.file_size - file.tell()
    if header.nbytes != size:
        raise DataError(
            f"{place}: has {size:,} bytes of values, expected {header.nbytes:,} by its header; fetch the file again"
        )
    return header


@contextmanager
def _damage_as_data_error(place: str) -> Iterator[None]:
    """Raise a DataError for a damaged archive, or one that cannot be unpacked."""
    try:
        yield
    except NotImplementedError as error:
        raise DataError(
            f"{place}: is compressed in a way that cannot be read ({error}); save it with np.savez"
        ) from error
    except RuntimeError as error:
        raise DataError(f"{place}: is encrypted; save it without a password") from error
    except (zipfile.BadZipFile, EOFError) as error:
        is_cut = isinstance(error, EOFError) or "not a zip file" in str(error)
        reason = CUT_OFF if is_cut else f"a damaged .npz file: {error}"
        raise DataError(f"{place}: {reason}") from error
    except (ValueError, OverflowError, struct.error, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{place}: a damaged .npz file: {error}") from error
    except OSError as error:
        raise DataError(f"{place}: cannot be read: {error.strerror or error}") from error
