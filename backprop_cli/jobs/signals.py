"""Ctrl-C and SIGTERM during work that must be saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Asked:
    """Whether a signal asked to end: ``number`` is SIGINT or SIGTERM, or None."""

    def __init__(self) -> None:
        self.number: int | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """The first signal is kept for the loop to see; a second one ends the process at once."""
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def asked_to_end() -> Iterator[Asked]:
    """Note SIGINT and SIGTERM instead of raising; handlers are put back afterwards. Elsewhere than in the main thread
    Python delivers no signals, and nothing is noted.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, asked.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
