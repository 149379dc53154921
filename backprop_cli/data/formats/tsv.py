"""Tab-separated values."""

from __future__ import annotations

from typing import ClassVar

from backprop_cli.data.format import FORMATS
from backprop_cli.data.formats.csv import Csv


@FORMATS.register
class Tsv(Csv):
    """Tab-separated values, UTF-8, with a header line; the rest is as in csv.

    Files: ``.tsv``, ``.tab``, also with ``.gz``.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".tab")
    delimiter: ClassVar[str] = "\t"
