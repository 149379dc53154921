"""What can be timed, and how it says that it cannot."""

from __future__ import annotations

from typing import Any, Protocol


class Unavailable(Exception):  # noqa: N818 - a fact, not a mistake
    """It cannot run here; the text says why."""


class Participant(Protocol):
    """One line of a comparison."""

    title: str

    def prepare(self) -> None:
        """Everything that is not measured. Raises: Unavailable."""

    def sample(self) -> float:
        """Seconds a unit (step, epoch, process), measured once."""

    def facts(self) -> dict[str, Any]:
        """What else is known, ready for JSON: ``memory_bytes``, ``threads``, ..."""

    def close(self) -> None:
        """End it."""
