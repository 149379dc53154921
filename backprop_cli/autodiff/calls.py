"""What an op that is several NumPy calls binds: the calls, with all their views made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Call = Callable[[], object]
Calls = list[Call]


def in_turn(calls: Sequence[Call]) -> Callable[[], None]:
    """One call that makes them all."""

    def run() -> None:
        for call in calls:
            call()

    return run
