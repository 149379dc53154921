"""Running text."""

from __future__ import annotations

from typing import ClassVar

from backprop_cli.data.file import DataFile, text_of
from backprop_cli.data.format import FORMATS, TextFormat
from backprop_cli.errors import DataError


@FORMATS.register
class Text(TextFormat):
    """A text, UTF-8: each of its tokens is predicted from those before it, according to `data.text`.

    Line ends of Windows are read as newlines. Files: ``.txt``, ``.txt.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".txt",)

    def read(self, file: DataFile) -> str:
        """The whole text. Raises: DataError with the line of bytes that are not UTF-8."""
        with file.open() as stream:
            lines = [text_of(raw, file.name, number) for number, raw in enumerate(stream, 1)]
        text = "".join(lines).replace("\r\n", "\n")
        if not text.strip():
            raise DataError(f"{file.name}: it has only white space")
        return text
