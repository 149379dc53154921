"""Data that is sound, but not what the configuration says of it."""

from __future__ import annotations

from collections.abc import Sequence

from backprop_cli.errors import DataError

SettingPath = tuple[str | int, ...]
"""The key at fault: ``("data", "features", 2)``."""


class SettingError(DataError):
    """Keys of a configuration that do not fit the data: ``findings`` are the path of each, and why.

    A configuration can be another one tomorrow and the file is as it is, so whoever has the configuration tells it as
    an error of that, with its line.
    """

    def __init__(self, findings: Sequence[tuple[SettingPath, str]]):
        self.findings = tuple(findings)
        super().__init__("; ".join(reason for _, reason in findings))
