"""Columns in Arrow files."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any, BinaryIO, ClassVar

from backprop_cli.data.extra import extra
from backprop_cli.data.format import FORMATS
from backprop_cli.data.formats.parquet import Parquet, distinct
from backprop_cli.errors import DataError


@FORMATS.register
class Arrow(Parquet):
    """An Arrow file or stream (Feather, version 2); the rest is as in parquet.

    A stream can also be read from a pipe. Files: ``.arrow``, ``.arrows``, ``.feather``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".arrow", ".arrows", ".feather")

    def _open(
        self, stream: BinaryIO, name: str, columns: Container[str] | None, rows: int | None
    ) -> tuple[list[str], Iterator[Any]]:
        ipc = extra("pyarrow.ipc", package="PyArrow", extra="parquet", file=name)
        magic = b""
        if stream.seekable():
            magic = stream.read(4)
            stream.seek(0)
        if magic == b"FEA1":
            raise DataError(f"{name}: is Feather of version 1; save it again as version 2, or as .parquet")
        if magic == b"ARRO":
            file = ipc.open_file(stream)
            return distinct(file.schema.names, name), (file.get_batch(i) for i in range(file.num_record_batches))
        source = ipc.open_stream(stream)
        return distinct(source.schema.names, name), iter(source)
