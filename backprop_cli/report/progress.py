"""How far a command is that has no events: a bar on a terminal, once it has taken a second."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from backprop_cli.report.numbers import clock

if TYPE_CHECKING:
    from backprop_cli.report.bar import Bar

PATIENCE_SECONDS = 1.0
REDRAW_SECONDS = 0.1


class Progress:
    """Shows what is told it on ``stream``: ``progress("broken rules", 12, 340)``. ``plain``: nothing.

    It is gone when the command says what it found. A stream that breaks is given up silently.
    """

    def __init__(self, stream: TextIO, plain: bool):
        self._stream: TextIO | None = None if plain else stream
        self._bar: Bar | None = None
        self._what = ""
        self._began, self._due = monotonic(), monotonic() + PATIENCE_SECONDS

    def __call__(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` are over."""
        now = monotonic()
        if what != self._what:
            self._close()
            self._what, self._began = what, now
        if self._stream is None or now < self._due:
            return
        self._due = now + REDRAW_SECONDS
        facts = [f"{done:,}/{total:,}"]
        if done > 0:
            facts.append(f"{clock((total - done) * (now - self._began) / done)} left")
        try:
            if self._bar is None:
                from backprop_cli.report.bar import Bar

                self._bar = Bar(self._stream, what, done, total)
            self._bar.draw(done, what, facts)
        except OSError:
            self._bar = self._stream = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            try:
                bar.close()
            except OSError:
                self._stream = None
