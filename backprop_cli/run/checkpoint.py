"""Checkpoints: one safetensors file of arrays by name and of JSON metadata. No pickle."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backprop_cli.errors import CheckpointError
from backprop_cli.run.atomic import reason, write_atomically
from backprop_cli.run.directory import BEST, LAST, LATEST, step_checkpoints

FORMAT_VERSION = 1
_LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors format."""
_RESERVED = ("format_version", "crc32")


@dataclass(frozen=True)
class Checkpoint:
    """``tensors`` by name, and ``metadata`` that JSON can hold.

    Parameters and buffers stand under their own names, optimizer slots as ``optimizer.<slot>.<parameter>``.
    Floats of the metadata come back bit for bit, infinities and NaN included. Loaded tensors are copies.
    """

    tensors: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Replace ``path`` by ``checkpoint``, atomically.

    Raises: CheckpointError when it cannot be written (a full disk); the checkpoint that was there before stays.
    """
    from safetensors.numpy import save as serialize

    tensors = {name: np.asarray(array, order="C") for name, array in checkpoint.tensors.items()}
    reserved = {"format_version": FORMAT_VERSION, "crc32": _checksum(tensors)}
    metadata = {key: json.dumps(value) for key, value in {**checkpoint.metadata, **reserved}.items()}
    try:
        write_atomically(path, serialize(tensors, metadata))
    except OSError as error:
        raise _unwritable(path, error) from error


def link(source: Path, target: Path) -> None:
    """Give the checkpoint ``source`` the second name ``target``, atomically; a copy where the file system has no links.

    Raises: CheckpointError when it cannot be written; what ``target`` was before stays.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        os.link(source, temporary)
        temporary.replace(target)
        temporary.unlink(missing_ok=True)  # a rename onto another name of the same file does nothing
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        try:
            write_atomically(target, source.read_bytes())
        except OSError as error:
            raise _unwritable(target, error) from error


def load(path: Path) -> Checkpoint:
    """The checkpoint in the file ``path``.

    Raises: CheckpointError when the file is missing, truncated, damaged, not safetensors, not written by bp, or
    written by a newer bp.
    """
    tensors, header = _read(path)
    if "format_version" not in header:
        raise CheckpointError(
            f"{path}: is a safetensors file but not a checkpoint of bp: its metadata has no format_version"
        )
    try:
        metadata = {key: json.loads(value) for key, value in header.items()}
    except ValueError as error:
        raise CheckpointError(f"{path}: is damaged: its metadata is not JSON ({error})") from error
    version = metadata["format_version"]
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: has checkpoint format {version}, this bp reads format {FORMAT_VERSION}; "
            "use the bp that wrote it, or a newer one"
        )
    # A file from another tool need not carry a checksum.
    if "crc32" in metadata and metadata["crc32"] != _checksum(tensors):
        raise CheckpointError(
            f"{path}: is damaged: its contents do not match its checksum; use another checkpoint of the run"
        )
    return Checkpoint(tensors, {key: value for key, value in metadata.items() if key not in _RESERVED})


def find_checkpoint(path: Path) -> Path:
    """The checkpoint that ``path`` means.

    A file means itself; a run directory, a folder of runs (its ``latest``) or a folder of checkpoints means the best
    checkpoint in it, or the last where there is no best.

    Raises: CheckpointError when there is none.
    """
    if path.is_file():
        return path
    if not path.exists():
        raise CheckpointError(
            f"{path}: no such file or directory; expected a checkpoint (.safetensors) or a run directory"
        )
    for folder in (path / "checkpoints", path / LATEST / "checkpoints", path):
        numbered = reversed(step_checkpoints(folder).values())
        for candidate in (folder / BEST, folder / LAST, *numbered):
            if candidate.is_file():
                return candidate
    raise CheckpointError(
        f"{path}: has no checkpoint; expected best.safetensors or last.safetensors in its checkpoints/"
    )


def _unwritable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"{path}: the checkpoint cannot be written: {reason(error)}; "
        "what was saved before is still there: make room, then go on with `bp train --resume`"
    )


def _checksum(tensors: Mapping[str, NDArray[Any]]) -> int:
    """CRC-32 over names, formats, shapes and bytes, in the order of names."""
    crc = 0
    for name in sorted(tensors):
        array = tensors[name]
        crc = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return crc


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors and raw metadata of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        opening, size = _opening(path)
        with safe_open(str(path), framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except OSError as error:
        raise CheckpointError(f"{path}: the checkpoint cannot be read: {reason(error)}") from error
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: {_diagnosis(opening, size)}") from error


def _opening(path: Path) -> tuple[bytes, int]:
    """The file's first 9 bytes, and its size in bytes."""
    with path.open("rb") as file:
        return file.read(9), path.stat().st_size


def _diagnosis(opening: bytes, size: int) -> str:
    """Why a file is no readable safetensors file: 8 bytes of header length, the JSON header, the data."""
    if size == 0:
        return "is empty: expected a checkpoint; use another checkpoint of the run"
    length = int.from_bytes(opening[:8], "little")
    if size <= 8 or (opening[8:] == b"{" and length <= _LONGEST_HEADER):
        return f"is truncated or damaged ({size} bytes); use another checkpoint of the run"
    return "is not a checkpoint: expected a safetensors file as `bp train` writes it"
