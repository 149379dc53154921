"""A command's progress display: lines above a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from backprop_cli.visible import one_line, visible

if TYPE_CHECKING:
    from backprop_cli.report.bar import Bar


REDRAW_SECONDS = 0.1
"""Shortest time between two drawings of the bar."""


class Screen:
    """Lines on ``stream``, and a bar once it is opened; a bar needs a terminal.

    A broken stream (a closed pipe) is abandoned silently: a reader that leaves must not end the work.
    """

    def __init__(self, stream: TextIO):
        self._stream: TextIO | None = stream
        self._bar: Bar | None = None

    @property
    def has_bar(self) -> bool:
        """Whether a bar is open."""
        return self._bar is not None

    def open_bar(self, head: str, done: int, total: int) -> None:
        """Open a bar at ``done`` of ``total``, with ``head`` on its left."""
        if self._stream is None:
            return
        from backprop_cli.report.bar import Bar

        try:
            self._bar = Bar(self._stream, one_line(head), done, total)
        except OSError:
            self._give_up()

    def draw(self, done: int, head: str, facts: list[str]) -> None:
        """Move the bar, if it is open, to ``done``, between ``head`` and ``facts``."""
        if self._bar is not None:
            try:
                self._bar.draw(done, one_line(head), list(map(one_line, facts)))
            except OSError:
                self._give_up()

    def print(self, line: str, style: str = "") -> None:
        """Write a line, above the bar if it is open."""
        if self._stream is None:
            return
        line = visible(line)
        try:
            if self._bar is not None:
                self._bar.print(line, style)
            else:
                self._stream.write(line + "\n")
                self._stream.flush()
        except OSError:
            self._give_up()

    def close_bar(self) -> None:
        """Remove the bar; a second call does nothing."""
        bar, self._bar = self._bar, None
        if bar is not None:
            try:
                bar.close()
            except OSError:
                self._give_up()

    def _give_up(self) -> None:
        self._bar = self._stream = None
