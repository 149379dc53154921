"""The format of the MNIST files."""

from __future__ import annotations

import math
import re
from typing import BinaryIO, ClassVar

import numpy as np

from backprop_cli.data.file import DataFile
from backprop_cli.data.format import FORMATS, ArrayFormat, check_numeric
from backprop_cli.data.table import Array
from backprop_cli.errors import DataError

_PIECE = 1 << 20
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@FORMATS.register
class Idx(ArrayFormat):
    """One array as in the MNIST files (``train-images-idx3-ubyte``), packed with gzip or not; memory-mapped if not.

    Layout (LeCun & Cortes, "The MNIST database"): two zero bytes, a type byte, the number of axes, each axis' length as
    a big-endian 32-bit integer, then the values, big-endian, the last axis fastest.
    Files: ``.idx``, ``-idx3-ubyte`` and the like, also with ``.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".idx",)

    @classmethod
    def matches(cls, name: str) -> bool:
        """Also the names that MNIST's files have."""
        return super().matches(name) or re.search(r"[-.]idx\d-[a-z]+$", name) is not None

    def arrays(self, file: DataFile) -> dict[str, Array]:
        """The array under the name ``""``. One buffer holds it: a packed file is unpacked straight into it."""
        with file.open() as stream:
            dtype, shape = _header(stream, file.name)
            offset = stream.tell()
            if file.is_gzip:
                array = _unpack(stream, dtype, shape, file.name)
            else:
                _check_size(file, offset + dtype.itemsize * math.prod(shape))
                # Before the file is mapped: an empty mapping is an error of its own.
                check_numeric(np.broadcast_to(np.zeros((), dtype), shape), file.name)
                array = np.memmap(file.path, dtype=dtype, mode="r", offset=offset, shape=shape)
        check_numeric(array, file.name)
        return {"": array}

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        """From the header alone."""
        with file.open() as stream:
            return {"": _header(stream, file.name)[1]}


def _header(stream: BinaryIO, name: str) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
        raise DataError(
            f"{name}: not an IDX file: it begins with {magic.hex(' ')}, expected 00 00, a type (08 to 0e) and axes"
        )
    axes = stream.read(4 * magic[3])
    if len(axes) < 4 * magic[3]:
        raise DataError(f"{name}: the file is cut off in its header")
    return np.dtype(_TYPES[magic[2]]), tuple(int(n) for n in np.frombuffer(axes, ">u4"))


def _check_size(file: DataFile, expected: int) -> None:
    size = file.path.stat().st_size
    if size != expected:
        raise DataError(f"{file.name}: has {size:,} bytes, expected {expected:,} by its header; fetch the file again")


def _unpack(stream: BinaryIO, dtype: np.dtype[np.generic], shape: tuple[int, ...], name: str) -> Array:
    try:
        array = np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        raise DataError(f"{name}: its header asks for an array of shape {list(shape)}; fetch the file again") from error
    view = memoryview(array.reshape(-1).view(np.uint8).data)
    done = 0
    while done < len(view):
        # In pieces: gzip makes a copy of what it is asked for.
        count = stream.readinto(view[done : done + _PIECE])  # type: ignore[attr-defined]
        if not count:
            raise DataError(
                f"{name}: has {done:,} bytes of values, expected {len(view):,} by its header; fetch the file again"
            )
        done += count
    if stream.read(1):
        raise DataError(
            f"{name}: goes on after the {len(view):,} bytes of values that its header announces; fetch the file again"
        )
    return array
