"""Where a command's seconds go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, process_time

PROCESS_BEGAN = perf_counter() - process_time()
"""When this process began, on the clock of ``perf_counter``. Right where the process has done nothing yet but start:
until then it works and does not wait, so that its processor time is the time since.
"""


class Stopwatch:
    """Seconds by what they are spent on; what is measured inside something else counts as the inner one alone.

    ::

        watch = Stopwatch()
        with watch("data"):
            ...
        watch.seconds()  # {"data": 0.01, "other": 0.002, "total": 0.012}
    """

    def __init__(self, began: float | None = None):
        self._last = perf_counter() if began is None else began
        self._running = ["other"]
        self._seconds: dict[str, float] = {}

    def lap(self, part: str) -> None:
        """What has passed since the last change of parts was spent on ``part``."""
        now = perf_counter()
        self._seconds[part] = self._seconds.get(part, 0.0) + now - self._last
        self._last = now

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """What happens inside is ``part``."""
        self.lap(self._running[-1])
        self._running.append(part)
        try:
            yield
        finally:
            self.lap(self._running.pop())

    def seconds(self) -> dict[str, float]:
        """By part, up to here, in the order in which they were first over; ``other`` is the rest of ``total``."""
        self.lap(self._running[-1])
        parts = {part: seconds for part, seconds in self._seconds.items() if part != "other"}
        total = sum(self._seconds.values())
        found = {**parts, "other": self._seconds.get("other", 0.0), "total": total}
        return {part: round(seconds, 6) for part, seconds in found.items()}
