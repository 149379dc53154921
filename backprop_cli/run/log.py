"""The log: the lines that were printed, kept with the run."""

from __future__ import annotations

import os
from pathlib import Path

from backprop_cli.files import open_own
from backprop_cli.run.atomic import reason
from backprop_cli.visible import visible


class LogFile:
    """Appends lines to ``path``, each handed to the system at once.

    The log is a copy for readers, so that a run goes on without it: the first failure to write is kept as
    ``failure`` and ends the logging.
    """

    def __init__(self, path: Path):
        self.path = path
        self.failure: str | None = None

    def write(self, line: str) -> None:
        """Append ``line``."""
        if self.failure is not None:
            return
        try:
            descriptor = open_own(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(visible(line) + "\n")
        except OSError as error:
            self.failure = f"{self.path}: cannot be written: {reason(error)}; the run goes on without a log"
