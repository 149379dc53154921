"""Rounds: every line of a comparison once, in turn, so that a ratio is between neighbours in time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.comparisons import Comparison
from benchmarks.participant import Participant, Unavailable


@dataclass
class Line:
    """What was measured of one participant: ``seconds`` a unit, one number a round."""

    title: str
    seconds: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Median of the rounds, in seconds."""
        return statistics.median(self.seconds)


@dataclass
class Result:
    """A comparison as measured. ``skipped``: who could not run, and why."""

    name: str
    title: str
    unit: str
    baseline: str
    lines: dict[str, Line]
    skipped: dict[str, str]

    def ratios(self, name: str, of: str | None = None) -> list[float]:
        """Time of a line over that of the baseline (or of line ``of``), round by round."""
        below = self.lines[of or self.baseline].seconds
        return [mine / theirs for mine, theirs in zip(self.lines[name].seconds, below, strict=True)]

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Result:
        """What ``to_json`` wrote."""
        lines = {name: Line(line["title"], line["seconds"], dict(line)) for name, line in found["lines"].items()}
        return cls(*(found[key] for key in ("name", "title", "unit", "baseline")), lines, found["skipped"])

    def to_json(self) -> dict[str, Any]:
        """Everything, every round included."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "baseline": self.baseline,
            "lines": {name: self._line(name) for name in self.lines},
            "skipped": self.skipped,
        }

    def _line(self, name: str) -> dict[str, Any]:
        line = self.lines[name]
        ratios = self.ratios(name)
        return {
            "title": line.title,
            "seconds": line.seconds,
            "median_seconds": line.median,
            "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
            **line.facts,
        }


def measure(
    comparison: Comparison,
    wanted: Callable[[str], bool],
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
) -> Result:
    """Prepare every wanted line, take ``rounds`` rounds (or as many as the comparison allows), end them.

    Raises: Unavailable if the baseline cannot run.
    """
    participants = {n: p for n, p in comparison.lines(seconds).items() if wanted(n) or n == comparison.baseline}
    skipped: dict[str, str] = {}
    rounds = min(rounds, comparison.most_rounds or rounds)
    try:
        ready = _prepare(participants, comparison, skipped, tell)
        lines = {name: Line(participant.title) for name, participant in ready.items()}
        _take_rounds(comparison, ready, lines, skipped, rounds, tell)
        for name, line in lines.items():
            line.facts = ready[name].facts()
    finally:
        for participant in participants.values():
            participant.close()
    return Result(comparison.name, comparison.title, comparison.unit, comparison.baseline, lines, skipped)


def _prepare(
    participants: dict[str, Participant], comparison: Comparison, skipped: dict[str, str], tell: Callable[[str], None]
) -> dict[str, Participant]:
    ready = {}
    for name, participant in participants.items():
        tell(f"{comparison.name}: preparing {name}")
        try:
            participant.prepare()
        except Unavailable as reason:
            if name == comparison.baseline:
                raise
            skipped[name] = str(reason)
        else:
            ready[name] = participant
    return ready


def _take_rounds(
    comparison: Comparison,
    ready: dict[str, Participant],
    lines: dict[str, Line],
    skipped: dict[str, str],
    rounds: int,
    tell: Callable[[str], None],
) -> None:
    for number in range(1, rounds + 1):
        tell(f"{comparison.name}: round {number} of {rounds}")
        for name in list(lines):
            try:
                lines[name].seconds.append(ready[name].sample())
            except Unavailable as reason:
                if name == comparison.baseline:
                    raise
                skipped[name] = str(reason)
                del lines[name]


def median_ratio(result: Result, names: Sequence[str], of: str | None = None) -> tuple[str, float] | None:
    """The fastest of some lines, by the median of its ratios (to line ``of``); None if none of them ran."""
    ran = {name: statistics.median(result.ratios(name, of)) for name in names if name in result.lines}
    if not ran:
        return None
    best = min(ran, key=lambda name: ran[name])
    return best, ran[best]
