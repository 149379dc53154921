"""The format of the MNIST files."""

from __future__ import annotations

import re
from typing import BinaryIO, ClassVar

import numpy as np

from backprop_cli.data.file import DataFile
from backprop_cli.data.format import FORMATS, ArrayFormat
from backprop_cli.data.formats.npy import Header, mapped, read_values
from backprop_cli.data.table import Array
from backprop_cli.errors import DataError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@FORMATS.register
class Idx(ArrayFormat):
    """One array as in the MNIST files (``train-images-idx3-ubyte``), packed with gzip or not; memory-mapped if not.

    Layout (LeCun & Cortes, "The MNIST database"): two zero bytes, a type byte, the number of axes, the length of each
    axis as a big-endian 32-bit integer, then the values, big-endian, the last axis fastest. Files: ``.idx``,
    ``-idx3-ubyte`` and the like, also with ``.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".idx",)

    @classmethod
    def matches(cls, name: str) -> bool:
        """Also the names that MNIST's files have."""
        return super().matches(name) or re.search(r"[-.]idx\d-[a-z]+$", name) is not None

    def arrays(self, file: DataFile) -> dict[str, Array]:
        """The array under the name ``""``. A packed file is unpacked straight into its buffer."""
        with file.open() as stream:
            header = _header(stream, file.name)
            header.check(file.name)
            if file.is_gzip:
                return {"": read_values(stream, header, file.name)}
            offset, size = stream.tell(), file.path.stat().st_size
            expected = offset + header.nbytes
            if size != expected:
                raise DataError(
                    f"{file.name}: has {size:,} bytes, expected {expected:,} by its header; fetch the file again"
                )
            return {"": mapped(file.path, header, offset, size, file.name)}

    def shapes(self, file: DataFile) -> dict[str, tuple[int, ...]]:
        with file.open() as stream:
            return {"": _header(stream, file.name).shape}


def _header(stream: BinaryIO, name: str) -> Header:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
        raise DataError(
            f"{name}: not an IDX file: it begins with {magic.hex(' ')}, expected 00 00, a type (08 to 0e) and axes"
        )
    axes = stream.read(4 * magic[3])
    if len(axes) < 4 * magic[3]:
        raise DataError(f"{name}: the file is cut off in its header")
    return Header(np.dtype(_TYPES[magic[2]]), tuple(int(n) for n in np.frombuffer(axes, ">u4")))
