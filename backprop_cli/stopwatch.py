"""The seconds of a command by activity."""

from __future__ import annotations

from time import perf_counter, process_time

PROCESS_BEGAN = perf_counter() - process_time()
"""When this process began, on the clock of ``perf_counter``.

Correct if this module is imported first: a process that starts does not wait, so its processor time is its age.
"""


class _Activity:
    """A block of an activity: a class, because epochs of a few steps would notice the time that a generator takes."""

    __slots__ = ("activity", "watch")

    def __init__(self, watch: Stopwatch, activity: str):
        self.watch, self.activity = watch, activity

    def __enter__(self) -> None:
        self.watch.begin(self.activity)

    def __exit__(self, *exception: object) -> None:
        self.watch.end()


class Stopwatch:
    """Seconds by activity; time spent in a nested activity counts for that one only.

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

    def lap(self, activity: str) -> None:
        """Count the time since the last lap for ``activity``."""
        now = perf_counter()
        self._seconds[activity] = self._seconds.get(activity, 0.0) + now - self._last
        self._last = now

    def __call__(self, activity: str) -> _Activity:
        """Count the time inside the block for ``activity``."""
        return _Activity(self, activity)

    def begin(self, activity: str) -> None:
        """Interrupt the running activity by ``activity``."""
        self.lap(self._running[-1])
        self._running.append(activity)

    def end(self) -> None:
        """Go on with the interrupted activity."""
        self.lap(self._running.pop())

    def seconds(self) -> dict[str, float]:
        """Seconds so far by activity, in the order in which they first ended; ``other`` is the rest of ``total``."""
        self.lap(self._running[-1])
        known = {activity: seconds for activity, seconds in self._seconds.items() if activity != "other"}
        total = sum(self._seconds.values())
        found = {**known, "other": self._seconds.get("other", 0.0), "total": total}
        return {activity: round(seconds, 6) for activity, seconds in found.items()}
