"""The contract of an exporter: a trained network as files of another format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from backprop_cli.registry import Registry
from backprop_cli.session.trained_network import TrainedNetwork
from backprop_cli.structs import Struct

Precision = Literal["float32", "float64"]


class Request(Struct):
    """What to export. ``parts``: what to add to predictions, such as ``jacobian``; ``batch``: examples of a step.

    ``weights``: a file of its own for the weights; None: they are in ``output``.
    """

    output: Path
    parts: Sequence[str] = ()
    precision: Precision = "float32"
    weights: Path | None = None
    batch: int = 1


class Exported(Struct):
    """The files to write, by path. ``memory`` and ``multiplications``: bytes and counts by name, where known."""

    files: Mapping[Path, bytes]
    memory: Mapping[str, int]
    multiplications: Mapping[str, int]


class Exporter:
    """A format. A subclass has its name, in snake case."""

    suffixes: ClassVar[tuple[str, ...]]
    """Suffixes of its file."""
    parts: ClassVar[tuple[str, ...]] = ()
    """What ``--with`` can add."""

    def export(self, saved: TrainedNetwork, request: Request) -> Exported:
        """The network's files; nothing is written. Raises: UsageError for a network that the format cannot hold."""
        raise NotImplementedError


EXPORTERS: Registry[Any] = Registry("exporter", "exporters", "backprop_cli.exporting.exporters", Exporter)
"""Formats by name."""
