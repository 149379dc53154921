"""Ctrl-C, SIGTERM and SIGHUP, noted so that the work can be saved before the process ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 5.0
"""Seconds after the first signal in which others are ignored: a hasty second Ctrl-C must not prevent the saving."""

_NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class ImmediateStop(KeyboardInterrupt):
    """Signal ``number`` came more than ``PATIENCE`` seconds after the first one: end without saving."""

    def __init__(self, number: int):
        self.number = number
        super().__init__()


class StopRequest:
    """A request to end: ``number`` is that of the first signal, None before it."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._at = 0.0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Keep the first signal for the loop to read. Raises: ImmediateStop for one ``PATIENCE`` seconds later."""
        now = time.monotonic()
        if self.number is None:
            self.number, self._at = number, now
        elif now - self._at >= PATIENCE:
            raise ImmediateStop(number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note signals inside the block instead of raising KeyboardInterrupt; the handlers are restored afterwards.

    A signal that was ignored, such as SIGHUP under nohup, stays ignored. Outside the main thread nothing is noted:
    Python delivers signals only there.
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
