"""A data file: its name in messages, opening and reading it, its sha256."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import importlib
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property, partial
from io import BufferedReader, BytesIO, FileIO, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

from backprop_cli.errors import DataError
from backprop_cli.files import ready_folder
from backprop_cli.structs import Struct

GZIP_MAGIC = b"\x1f\x8b"


class NoFileError(DataError):
    """No file exists at ``path``. ``hint``: a similar name, if any."""

    def __init__(self, path: Path, reason: str, hint: str):
        self.path, self.hint = path, hint
        super().__init__(reason + hint)


class _HashedFile(FileIO):
    """A file whose bytes are hashed while they are read. ``is_whole``: up to the end, and none twice."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.digest, self.is_whole, self._in_order = hashlib.sha256(), False, True

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        self.digest.update(memoryview(buffer)[: count or 0])
        self.is_whole = self._in_order and count == 0
        return count

    def readall(self) -> bytes:
        data = super().readall()
        self.digest.update(data)
        self.is_whole = self._in_order
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._in_order = self.is_whole = False
        return super().seek(offset, whence)


class DataFile(Struct):
    """A file of examples. ``path`` is relative to the working directory."""

    path: Path

    @cached_property
    def name(self) -> str:
        """The path as messages show it: relative below the working directory, absolute elsewhere."""
        if self.is_standard_input:
            return STANDARD_INPUT
        try:
            # The real name of a pipe is meaningless.
            full = self.path.absolute() if self.is_stream else self.path.resolve()
        except (OSError, ValueError, RuntimeError):  # too long, a NUL, or a cycle of links
            return str(self.path).replace("\0", "\\0")
        here = Path.cwd()
        name = str(full.relative_to(here) if full.is_relative_to(here) else full)
        return f"{name}/" if self.is_folder else name

    @property
    def is_standard_input(self) -> bool:
        """Whether it is called ``-``, and no file of that name exists."""
        return self.path.name == "-" and self._mode() is None

    @property
    def is_stream(self) -> bool:
        """Whether it can be read only once, like the pipe ``<(command)``."""
        mode = self._mode()
        return mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, or a link to one."""
        mode = self._mode()
        return mode is not None and stat.S_ISDIR(mode)

    def _mode(self) -> int | None:
        """The file's mode; None if the path does not exist."""
        try:
            return self.path.stat().st_mode
        except (OSError, ValueError):
            return None

    def check(self, *, folder: bool = False) -> None:
        """Raise DataError unless the path is a non-empty file (or, with ``folder``, a folder).

        The message about a missing file suggests the nearest name.
        """
        if self.is_standard_input:
            _standard_input()
            return
        with file_errors(self.name):
            try:
                found = self.path.stat()
            except (FileNotFoundError, NotADirectoryError):
                raise NoFileError(self.path, f"{self.name}: no such file", self._near()) from None
            except ValueError as error:
                raise DataError(f"{self.name}: is not a path of a file: it has a NUL character") from error
        if stat.S_ISDIR(found.st_mode):
            if folder:
                return
            raise DataError(f"{self.name}: is a folder; name a file in it")
        if stat.S_ISREG(found.st_mode) and found.st_size == 0:
            raise DataError(f"{self.name}: the file is empty")

    def check_lasting(self) -> None:
        """Refuse a stream. Raises: DataError."""
        if self.is_stream:
            raise DataError(
                f"{self.name}: is a stream, and data is read more than once; save it to a file, and name that"
            )

    def _near(self) -> str:
        folder = self.path.parent
        if folder.name == "datasets" and (ready_folder() / folder.name / self.path.name).is_file():
            return "; bp init --examples writes configs/ and datasets/"
        if not folder.is_dir():
            return f"; the folder '{DataFile(folder).name}' does not exist either"
        names = sorted(p.name for p in folder.iterdir() if p.is_file())
        # A strict cutoff: a common suffix makes any two names look alike.
        near = difflib.get_close_matches(self.path.name, names, n=1, cutoff=0.75)
        return f"; did you mean '{near[0]}'?" if near else ""

    @contextmanager
    def open(self, *, hashed: bool = False) -> Iterator[BinaryIO]:
        """The file's bytes, unpacked if they are gzip's. ``hashed``: if all are read, ``sha256`` need not read them."""
        self.check()
        with file_errors(self), self._raw(hashed) as raw:
            # Peeked at: a pipe gives its bytes once.
            if raw.peek(2)[:2] == GZIP_MAGIC:
                with gzip.open(raw) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield raw
            if isinstance(raw.raw, _HashedFile) and raw.raw.is_whole:
                self._known.append(raw.raw.digest.hexdigest())

    def _raw(self, hashed: bool) -> BufferedReader:
        if self.is_standard_input:
            return BufferedReader(cast(RawIOBase, BytesIO(_standard_input())))
        return BufferedReader(_HashedFile(self.path)) if hashed else self.path.open("rb")

    @cached_property
    def _known(self) -> list[str]:
        """Hashes of the file as it was read."""
        return []

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return len(_standard_input()) if self.is_standard_input else self.path.stat().st_size

    @cached_property
    def is_gzip(self) -> bool:
        """Whether the first two bytes are gzip's, whatever the suffix."""
        with file_errors(self.name), self.path.open("rb") as raw:
            return raw.read(2) == GZIP_MAGIC

    def below(self) -> list[tuple[Path, bool]]:
        """Every path below a folder, sorted, and whether it is a folder. Links to folders are followed.

        Raises: DataError, also for a cycle of links.
        """
        found, pending = list[tuple[Path, bool]](), [(os.fspath(self.path), frozenset[str]())]
        while pending:
            folder, above = pending.pop()
            real = os.path.realpath(folder)
            if real in above:
                raise DataError(f"{DataFile(Path(folder)).name}: is a link to a folder above it; remove it")
            with file_errors(DataFile(Path(folder))), os.scandir(folder) as entries:
                for entry in entries:
                    is_folder = entry.is_dir()
                    found.append((Path(entry.path), is_folder))
                    if is_folder:
                        pending.append((entry.path, above | {real}))
        return sorted(found, key=lambda each: each[0].parts)

    def sha256(self) -> str:
        """Hash of the bytes on disk (packed, if they are), as hexadecimal text. A folder's covers all files in it."""
        if self.is_folder:
            whole, start = hashlib.sha256(), len(self.path.parts)
            for path, is_folder in self.below():
                if not is_folder and path.is_file():
                    place = "/".join(path.parts[start:])
                    whole.update(os.fsencode(place) + f"\0{_digest(path)}\n".encode())
            return whole.hexdigest()
        if self.is_standard_input:
            return hashlib.sha256(_standard_input()).hexdigest()
        return self._known[-1] if self._known else _digest(self.path)

    def hashes(self) -> dict[str, str]:
        """Its ``sha256`` by its absolute path, as text."""
        if self.is_standard_input:
            return {STANDARD_INPUT: self.sha256()}
        return {printable(str(self.path.resolve())): self.sha256()}


STANDARD_INPUT = "standard input"


@cache
def _standard_input() -> bytes:
    """All of standard input, kept because data is read more than once. Raises: DataError if it is empty."""
    data = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    if not data:
        raise DataError(
            f"{STANDARD_INPUT}: has no data; send a file to it, as in `bp train config.yaml < data.csv`; to resume or "
            "evaluate a run on standard input send the same data again"
        )
    return data


def _digest(path: Path) -> str:
    with file_errors(DataFile(path)), path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def printable(name: str) -> str:
    """A file name as text; bytes that are not UTF-8 become hexadecimal escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@contextmanager
def file_errors(file: DataFile | str) -> Iterator[None]:
    """Turn errors of the system and of gzip on a file, or its name, into a DataError."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        reason = f"the gzip data is damaged or cut off ({error}); fetch the file again"
        raise DataError(f"{_called(file)}: {reason}") from error
    except OSError as error:
        raise DataError(f"{_called(file)}: cannot be read: {error.strerror or error}") from error


def _called(file: DataFile | str) -> str:
    return file if isinstance(file, str) else file.name


BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BINARY = (b"\x89PNG", b"PK\x03\x04", b"\x93NUMPY", b"PAR1", b"%PDF", b"\xd0\xcf\x11\xe0", b"\x80\x04", b"\x89HDF")
"""First bytes of images, archives (.xlsx, .npz), arrays, Parquet, PDF, .xls, pickles, HDF5."""
_CONTROLS = frozenset({*range(9), *range(14, 27), *range(28, 32)})
_NOT_TEXT = "is not a text file; name a text file, or set the format (data.format, --input-format of predict)"
LONGEST_LINE = 1 << 26
"""Most bytes of a line, or of a record of several: longer ones are not rows of a table, and may never end."""


def lines_of(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The lines of a stream. Raises: DataError for a line longer than ``LONGEST_LINE``, without reading its rest."""
    for number, raw in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), 1):
        if len(raw) > LONGEST_LINE:
            raise too_long(name, number)
        yield raw


def too_long(name: str, line: int) -> DataError:
    """The error for a line, or a record that begins there, of more bytes than ``LONGEST_LINE``."""
    return DataError(f"{name}:{line}: a row of more than {LONGEST_LINE:,} bytes; expected text with one line per row")


def text_of(raw: bytes, name: str, line: int) -> str:
    """A line's bytes as text. Raises: DataError with line and character if they are not UTF-8."""
    if line == 1:
        raw = _first_line(raw, name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if not _CONTROLS.isdisjoint(raw):
            raise DataError(f"{name}:{line}: {_NOT_TEXT}") from error
        character = len(raw[: error.start].decode("utf-8")) + 1
        # Latin-1 has controls at these bytes; Windows' code page has the euro sign and quotes.
        encoding = "cp1252" if any(0x80 <= byte < 0xA0 for byte in raw) else "latin1"
        raise DataError(
            f"{name}:{line}: not UTF-8 text (byte 0x{raw[error.start]:02x} at character {character}); "
            f"convert the file, for example with `iconv -f {encoding} -t utf-8 old > new`"
        ) from error


def _first_line(raw: bytes, name: str) -> bytes:
    """The first line without a byte order mark. Raises: DataError if the mark means UTF-16, or the file is not text."""
    if raw.startswith(_UTF_16):
        raise DataError(
            f"{name}: is UTF-16 text, expected UTF-8; convert it, for example with `iconv -f utf-16 -t utf-8 old > new`"
        )
    if raw.startswith(_BINARY) or b"\0" in raw:
        raise DataError(f"{name}: {_NOT_TEXT}")
    return raw.removeprefix(BOM)


def extra(module: str, *, package: str, extra: str, file: str) -> Any:
    """Import a module of the optional ``extra``. Raises: DataError about the ``file`` that needs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{file}: reading it needs {package}, which is not installed: pip install 'backprop-cli[{extra}]'"
        raise DataError(reason) from error
