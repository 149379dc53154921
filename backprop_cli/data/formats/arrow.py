"""Columns in Arrow files."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from contextlib import ExitStack
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
        self, stream: BinaryIO, name: str, columns: Container[str] | None, rows: int | None, opened: ExitStack
    ) -> tuple[list[str], Iterator[Any]]:
        ipc = extra("pyarrow.ipc", package="PyArrow", extra="parquet", file=name)
        magic = b""
        if stream.seekable():
            magic = stream.read(4)
            stream.seek(0)
        if magic == b"FEA1":
            raise DataError(f"{name}: is Feather of version 1; save it again as version 2, or as .parquet")
        if magic == b"ARRO":
            file = opened.enter_context(ipc.open_file(stream))
            batches = (file.get_batch(i) for i in range(file.num_record_batches))
            return distinct(file.schema.names, name), _believable(batches, name)
        source = opened.enter_context(ipc.open_stream(stream))
        return distinct(source.schema.names, name), _believable(source, name)


def _believable(batches: Iterable[Any], name: str) -> Iterator[Any]:
    """The batches. Raises: DataError for a number of rows in a batch's header that its buffers cannot hold."""
    for batch in batches:
        # A row takes at least one bit, except in columns of nulls.
        most = max(_NULLS, 8 * batch.get_total_buffer_size())
        if batch.num_rows > most:
            raise DataError(f"{name}: the file is damaged: a batch of {batch.num_rows:,} rows without values in it")
        yield batch


_NULLS = 10_000_000
"""Most rows of a batch of nulls, which have no buffer that could prove them."""
