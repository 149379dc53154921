"""Checkpoints: one safetensors file of arrays by name and of JSON metadata. No pickle."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.format import is_table
from backprop_cli.errors import CheckpointError, warn
from backprop_cli.run.atomic import NotReplacedError, reason, rename, write_atomically
from backprop_cli.run.directory import BEST, LAST, LATEST, RunDirectory, resume_command, step_checkpoints, way_out
from backprop_cli.run.tensor_file import LONGEST_HEADER, TensorFile
from backprop_cli.visible import shortened

FORMAT_VERSION = 1
_VERSION, _DIGEST = "format_version", "sha256"
_RESERVED = (_VERSION, _DIGEST)


class Json(str):
    """A value of the metadata as JSON: one that is equal in all checkpoints of a run is converted once."""

    __slots__ = ()


class Checkpoint(NamedTuple):
    """``tensors`` by name, and ``metadata`` that JSON can hold or that is ``Json``.

    Parameters and buffers stand under their own names, optimizer slots as ``optimizer.<slot>.<parameter>``.
    Floats of the metadata come back bit for bit, infinities and NaN included. Loaded tensors are copies.
    """

    tensors: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, Any] = MappingProxyType({})


class DamagedError(CheckpointError):
    """The file ``path`` is not a whole checkpoint of bp; ``fault``: the reason without a way out."""

    def __init__(self, path: Path, fault: str, way_out: str = "use another checkpoint of the run"):
        self.fault = f"{path}: {fault}"
        super().__init__(f"{self.fault}; {way_out}" if way_out else self.fault)


def save(path: Path, checkpoint: Checkpoint, otherwise: Path | None = None) -> Path:
    """Replace ``path`` by ``checkpoint``, atomically, and return the written file.

    Equal checkpoints make equal files.

    ``otherwise``: the file to write, with a warning, if the system does not let ``path`` be replaced.

    Raises: CheckpointError when it cannot be written (a full disk); the checkpoint that was there before stays.
    """
    tensors = {
        name: np.asarray(array, array.dtype.newbyteorder("<"), order="C") for name, array in checkpoint.tensors.items()
    }
    values = {**checkpoint.metadata, _VERSION: FORMAT_VERSION}
    metadata = {key: value if isinstance(value, Json) else json.dumps(value) for key, value in values.items()}
    metadata[_DIGEST] = json.dumps(_digest(tensors, metadata))
    content = _content(tensors, metadata)
    try:
        # The caller syncs the directory, in which it may change more files.
        write_atomically(path, content, sync_directory=False)
    except NotReplacedError as error:
        if otherwise is None:
            raise _unwritable(path, error) from error
        save_to = save(otherwise, checkpoint)
        way_on = f"the new checkpoint is {otherwise}; resume it with: {resume_command(otherwise)}"
        warn(f"{path}: cannot be replaced: {reason(error)}; {way_on}")
        return save_to
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def link(source: Path, target: Path) -> bool:
    """Give the checkpoint ``source`` the second name ``target``, atomically; a copy if the file system has no links.

    Returns False, with a warning, if the system does not let ``target`` be replaced.

    Raises: CheckpointError when it cannot be written; what ``target`` was before stays.
    """
    try:
        _second_name(source, target)
    except NotReplacedError as error:
        warn(f"{target}: cannot be replaced: {reason(error)}; it stays another checkpoint than {source.name}")
        return False
    except OSError:
        try:
            write_atomically(target, source.read_bytes())
        except OSError as error:
            raise _unwritable(target, error) from error
    return True


def _second_name(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        try:
            os.link(source, temporary)
        except FileExistsError:  # a killed process left it behind
            temporary.unlink()
            os.link(source, temporary)
        rename(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)  # a rename onto another name of the same file does nothing


def load(path: Path) -> Checkpoint:
    """The checkpoint in the file ``path``.

    Raises: CheckpointError when the file is missing, truncated, damaged, not safetensors, not written by bp, or
    written by a newer bp.
    """
    tensors, header = _read(path)
    if _DIGEST not in header:
        raise DamagedError(path, "is damaged: it has no checksum")
    if header[_DIGEST] != json.dumps(_digest(tensors, header)):
        raise DamagedError(path, "is damaged: its contents do not match its checksum")
    try:
        metadata = {key: json.loads(value) for key, value in header.items()}
    except (ValueError, RecursionError) as error:
        raise DamagedError(path, f"is damaged: its metadata is not JSON ({shortened(str(error), 100)})") from error
    return Checkpoint(tensors, {key: value for key, value in metadata.items() if key not in _RESERVED})


def find_checkpoint(path: Path) -> Path:
    """The checkpoint that ``path`` names.

    A file means itself; a run directory, a folder of runs (its ``latest``) or a folder of checkpoints means the best
    checkpoint in it, or the last if it has no best.

    Raises: CheckpointError when there is none.
    """
    try:
        found = _found(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: the checkpoint cannot be opened: {reason(error)}") from error
    if found is None:
        inside = min(path.glob(f"*/checkpoints/{LAST}"), default=None)
        others = "" if inside is None else f"; name one of the runs in it: {inside.parent.parent}"
        raise CheckpointError(
            f"{path}: has no checkpoint; expected best.safetensors or last.safetensors in its checkpoints/{others}"
        )
    return found


def run_without_checkpoint(path: Path) -> RunDirectory | None:
    """The run at ``path`` if it has no checkpoint, but a resolved configuration; else None.

    Raises: CheckpointError if there is neither.
    """
    try:
        find_checkpoint(path)
    except CheckpointError as missing:
        try:
            run = RunDirectory.open(path)
        except CheckpointError:
            raise missing from None
        if not run.resolved.is_file():
            raise
        return run
    return None


def _found(path: Path) -> Path | None:
    if not path.exists():
        expected = "expected a checkpoint (.safetensors) or a run directory"
        raise CheckpointError(f"{path}: no such file or directory; {_untrained(path) or expected}")
    if path.suffix in (".yaml", ".yml") and path.is_file():
        raise CheckpointError(f"{path}: is a configuration, expected a checkpoint or a run; {_train_first(path)}")
    if path.suffix != ".safetensors" and is_table(path):
        raise CheckpointError(
            f"{path}: is a table, expected a checkpoint or a run; name that first, such as runs/NAME/latest, then the "
            "data"
        )
    if not path.is_dir():
        return path
    for folder in (path / "checkpoints", path / LATEST / "checkpoints", path):
        numbered = reversed(step_checkpoints(folder).values())
        for candidate in (folder / BEST, folder / LAST, *numbered):
            if candidate.is_file():
                return candidate
    return None


def _untrained(path: Path) -> str:
    """The hint at the configuration whose first run ``path`` would be: ``runs/NAME/latest``."""
    name = path.parent.name if path.name == LATEST else path.name
    found = (Path(folder, f"{name}.yaml") for folder in (".", "configs"))
    return next((_train_first(file) for file in found if file.is_file()), "")


def _train_first(config: Path) -> str:
    """The way from a configuration to its run."""
    return f"train first: bp train {shlex.quote(str(config))}, then name its run, runs/{config.stem}/latest"


def _unwritable(path: Path, error: OSError) -> CheckpointError:
    run = path.parent.parent
    return CheckpointError(f"{path}: the checkpoint cannot be written: {reason(error)}; {way_out(run)}")


def _digest(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """SHA-256 of all metadata except the digest, and of names, formats, shapes and bytes in the order of names."""
    digest = hashlib.sha256()
    own = {key: text for key, text in metadata.items() if key != _DIGEST}
    digest.update(json.dumps(own, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(_described(name, array.dtype, array.shape))
        digest.update(_bytes_of(array))
    return digest.hexdigest()


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


@cache
def _described(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Cached: for a small array it takes longer than the digest."""
    return json.dumps([name, dtype.name, shape]).encode()


def _content(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> list[bytes | memoryview]:
    """The pieces of the safetensors file, with ``metadata`` sorted by key; the library would write it in any order."""
    arrays, order = _layout(tuple((name, array.dtype, array.shape) for name, array in tensors.items()))
    own = json.dumps({"__metadata__": metadata}, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    text = own[:-1] + (b"," if order else b"") + arrays[1:]
    text += b" " * (-len(text) % 8)  # the arrays stay aligned
    return [len(text).to_bytes(8, "little"), text, *(_bytes_of(tensors[name]) for name in order)]


@lru_cache(maxsize=4)
def _layout(specs: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]) -> tuple[bytes, tuple[str, ...]]:
    """The library's header of arrays of these specs, and the order of their bytes: the same all run long."""
    from safetensors.numpy import save as serialize

    content = serialize({name: np.empty(shape, dtype) for name, dtype, shape in specs})
    header = content[8 : 8 + int.from_bytes(content[:8], "little")].strip()
    offsets = {name: entry["data_offsets"] for name, entry in json.loads(header).items()}
    return header, tuple(sorted(offsets, key=offsets.__getitem__))


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors and raw metadata of a file marked as a checkpoint of this format."""
    try:
        with TensorFile(path) as file:
            try:
                header = file.metadata()
                _check_version(path, header)
                return file.tensors(), header
            except ValueError as error:
                raise _diagnosis(path, file.opening, file.size) from error
    except MemoryError as error:
        raise CheckpointError(f"{path}: the checkpoint is larger than the memory that is free") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise CheckpointError(f"{path}: the checkpoint cannot be read: {reason(error)}") from error


def _check_version(path: Path, header: Mapping[str, str]) -> None:
    """Refuse a foreign file before its arrays are read: NumPy may lack their formats."""
    if _VERSION not in header:
        raise CheckpointError(
            f"{path}: is a safetensors file but not a checkpoint of bp: its metadata has no {_VERSION}"
        )
    if header[_VERSION] != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path}: has checkpoint format {header[_VERSION][:20]}, this bp reads format {FORMAT_VERSION}; "
            "use the bp that wrote it, or a newer one"
        )


def _diagnosis(path: Path, opening: bytes, size: int) -> DamagedError:
    """The error for an unreadable safetensors file: 8 bytes of header length, the JSON header, the data."""
    if size == 0:
        return DamagedError(path, "is empty: expected a checkpoint")
    length = int.from_bytes(opening[:8], "little")
    if size <= 8 or (opening[8:] == b"{" and length <= LONGEST_HEADER):
        return DamagedError(path, f"is truncated or damaged ({size} bytes)")
    return DamagedError(path, "is not a checkpoint: expected a safetensors file as `bp train` writes it", way_out="")
