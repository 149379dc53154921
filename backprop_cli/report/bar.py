"""The progress bar of a terminal. Only this module imports rich."""

from __future__ import annotations

import errno
import os
from typing import TextIO

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text


class _Terminal(RichConsole):
    """A console that reports a lost terminal; rich's own would end the process and the training."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class Bar:
    """One line at the bottom of the terminal; ``print`` writes above it. Drawn only by ``draw`` and ``print``."""

    def __init__(self, stream: TextIO, head: str, done: int, total: int):
        self._console = _Terminal(file=stream, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None, complete_style="cyan", finished_style="cyan"),
            TextColumn("{task.fields[facts]}", markup=False),
            console=self._console,
            auto_refresh=False,
            transient=True,
            expand=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(head, total=total, completed=done, facts="")
        self._progress.start()

    def draw(self, done: int, head: str, facts: list[str]) -> None:
        """Show ``done`` steps between ``head`` and ``facts``; a narrow terminal drops the last facts first."""
        room = self._console.width - len(head) - _NARROWEST - 2
        while facts and len("  ".join(facts)) > room:
            facts = facts[:-1]
        text = "  ".join(facts)
        self._progress.update(self._task, completed=done, description=head, facts=text, refresh=True)

    def print(self, line: str, style: str = "") -> None:
        """Write ``line`` above the bar."""
        self._console.print(Text(line, style), soft_wrap=True)

    def close(self) -> None:
        """Remove the bar and show the cursor again."""
        self._progress.stop()


_NARROWEST = 10
"""Characters reserved for the bar itself."""
