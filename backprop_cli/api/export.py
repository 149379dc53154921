"""``bp export``: a trained network in another format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from backprop_cli.api.arguments import one_or_many
from backprop_cli.errors import UsageError, joined, warn
from backprop_cli.exporting.exporter import EXPORTERS, Exporter, Precision, Request
from backprop_cli.json_object import JsonObject
from backprop_cli.run.output import opened
from backprop_cli.session.overfit import doubt
from backprop_cli.session.trained_network import open_network


class ExportResult(JsonObject):
    """An exported network."""

    json_optional: ClassVar = ("memory", "multiplications")

    checkpoint: Path
    """The checkpoint that it comes from."""
    to: str
    """The format."""
    files: Sequence[Path]
    """The files that were written."""
    precision: str
    """The precision of its numbers: float32 or float64."""
    memory: Mapping[str, int]
    """Bytes by use: ``static`` memory, ``constants``, and the ``state`` of training; left out if unknown."""
    multiplications: Mapping[str, int]
    """Multiplications of a call by function, such as ``predict``; left out if unknown."""


@one_or_many
def export(
    checkpoint: Path | str,
    output: Path | str,
    *,
    to: str | None = None,
    parts: Sequence[str] = (),
    precision: Precision | None = None,
    weights: Path | str | None = None,
    batch: int | None = None,
    plugins: Sequence[Path | str] = (),
) -> ExportResult:
    """Write the network, with the transform of its data, to ``output`` and the files that belong to it.

    ``to``: the format; default: by the output's suffix. ``parts``: what to add to predictions, such as ``jacobian``.
    ``precision``: default: that of the training. ``weights``: a file of its own for the weights, which the exported
    network reads. ``batch``: examples of a training step or a Hessian product; default: those of the training.
    ``plugins``: files with code that the network needs. Nothing is written if the format cannot hold the network.

    Raises:
        UsageError: an unknown format or part, a network that the format cannot hold, a file that cannot be written.
        CheckpointError: the checkpoint is missing or damaged.

    """
    output, weights = Path(output), None if weights is None else Path(weights)
    kind = to or _format_of(output)
    if kind not in EXPORTERS:
        raise UsageError(f"--to {kind}: unknown format; known: {', '.join(EXPORTERS)}")
    exporter: Exporter = EXPORTERS[kind]()
    _check(exporter, kind, output, parts, batch)
    saved = open_network(Path(checkpoint), plugins=plugins)
    for line in doubt(saved.original.config):
        warn(line)
    training = saved.loaded.config.training
    request = Request(output, parts, precision or training.precision, weights, batch or training.batch_size)
    exported = exporter.export(saved, request)
    with ExitStack() as stack:  # all files, or none if one cannot be written
        streams = {path: stack.enter_context(opened(path)) for path in exported.files}
        for path, content in exported.files.items():
            streams[path].write(content)
    return ExportResult(
        saved.path, kind, list(exported.files), request.precision, exported.memory, exported.multiplications
    )


def _format_of(output: Path) -> str:
    for name, cls in EXPORTERS.items():
        if output.suffix in cls.suffixes:
            return name
    known = [suffix for _, cls in EXPORTERS.items() for suffix in cls.suffixes]
    raise UsageError(f"{output}: unknown suffix '{output.suffix}'; end the file's name with {joined(known, 'or')}")


def _check(exporter: Exporter, kind: str, output: Path, parts: Sequence[str], batch: int | None) -> None:
    if output.suffix not in exporter.suffixes:
        raise UsageError(f"{output}: --to {kind} writes {joined(exporter.suffixes, 'or')}; end the file's name with it")
    for part in parts:
        if part not in exporter.parts:
            known = ", ".join(exporter.parts) or "none"
            raise UsageError(f"--with {part}: not a part of --to {kind}; known: {known}")
    if batch is not None and not {"hessian-vector", "training"} & set(parts):
        raise UsageError(
            f"--batch {batch}: goes with --with hessian-vector or training; add one of them, or leave it out"
        )
