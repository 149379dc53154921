"""Progress of a command without events: a bar on a terminal, once a second has passed."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import TextIO

from backprop_cli.number_text import clock
from backprop_cli.report.screen import REDRAW_SECONDS, Screen

PATIENCE_SECONDS = 1.0
"""No bar before this time."""


class Progress:
    """Shows reported progress on ``stream``: ``progress("broken rules", 12, 340)``. ``plain``: shows nothing.

    The bar disappears before the command prints its result.
    """

    def __init__(self, stream: TextIO, plain: bool):
        self._screen = None if plain else Screen(stream)
        self._what = ""
        self._began, self._due = monotonic(), monotonic() + PATIENCE_SECONDS

    def __call__(self, what: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` are finished."""
        now = monotonic()
        if what != self._what:
            self._close()
            self._what, self._began = what, now
        if self._screen is None or now < self._due:
            return
        self._due = now + REDRAW_SECONDS
        facts = [f"{done:,}/{total:,}"]
        if done > 0:
            facts.append(f"{clock((total - done) * (now - self._began) / done)} left")
        if not self._screen.has_bar:
            self._screen.open_bar(what, done, total)
        self._screen.draw(done, what, facts)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        if self._screen is not None:
            self._screen.close_bar()
