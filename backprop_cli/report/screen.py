"""A command's progress display: lines above a progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from backprop_cli.visible import one_line, visible

if TYPE_CHECKING:
    from backprop_cli.report.bar import Bar


class Screen:
    """Lines on ``stream``, and a bar once it is opened, which takes a terminal.

    A stream that breaks (a closed pipe) is given up silently: a reader must not be able to end the work.
    """

    def __init__(self, stream: TextIO):
        self._stream: TextIO | None = stream
        self._bar: Bar | None = None

    @property
    def has_bar(self) -> bool:
        """Whether a bar is open."""
        return self._bar is not None

    def open_bar(self, head: str, done: int, total: int) -> None:
        """A bar of ``done`` out of ``total``, with ``head`` on its left."""
        if self._stream is None:
            return
        from backprop_cli.report.bar import Bar

        try:
            self._bar = Bar(self._stream, one_line(head), done, total)
        except OSError:
            self._give_up()

    def draw(self, done: int, head: str, facts: list[str]) -> None:
        """Show ``done`` between ``head`` and ``facts``, if there is a bar."""
        if self._bar is not None:
            try:
                self._bar.draw(done, one_line(head), list(map(one_line, facts)))
            except OSError:
                self._give_up()

    def print(self, line: str, style: str = "") -> None:
        """Write a line, above the bar if there is one."""
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
        """Take the bar away; a second call does nothing."""
        bar, self._bar = self._bar, None
        if bar is not None:
            try:
                bar.close()
            except OSError:
                self._give_up()

    def _give_up(self) -> None:
        self._bar = self._stream = None
