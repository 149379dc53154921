"""Ctrl-C, SIGTERM and SIGHUP during work that must be saved first."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 5.0
"""Seconds that saving may take: until then further signals change nothing, so that no hasty second Ctrl-C loses what
the first one was about to save."""

_NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class ImmediateStop(KeyboardInterrupt):
    """Signal ``number`` came when saving had taken too long already."""

    def __init__(self, number: int):
        self.number = number
        super().__init__()


class StopRequest:
    """Whether a signal asked to end: ``number`` is the first one's, or None."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._at = 0.0

    def note(self, number: int, frame: FrameType | None) -> None:
        """The first signal is kept for the loop to see; one that comes ``PATIENCE`` later ends the work at once."""
        now = time.monotonic()
        if self.number is None:
            self.number, self._at = number, now
        elif now - self._at >= PATIENCE:
            raise ImmediateStop(number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note signals instead of raising; handlers are put back afterwards. A signal that is ignored, as SIGHUP under
    nohup, stays ignored. Elsewhere than in the main thread Python delivers no signals, and nothing is noted.
    """
    asked = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    handlers = {number: signal.getsignal(number) for number in _NUMBERS}
    before = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, asked.note)
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
