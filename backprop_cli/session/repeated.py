"""A training repeated over folds and seeds: its runs, and what their metrics say together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from backprop_cli.json_object import JsonObject
from backprop_cli.number_text import number

LEVEL = 0.95
"""Level of the intervals of means."""
REPEATED = "repeated"
"""Key of run.json: the numbers of folds and seeds."""


class Single(NamedTuple):
    """One run: its folder, its name in messages, its place, and the overrides that make it."""

    folder: str
    name: str
    fold: int | None
    seed: int
    overrides: tuple[str, ...]


class Repetition(NamedTuple):
    """``folds``: parts of the rows, each the test split once; None: the configured split. ``seeds``: runs of each."""

    folds: int | None
    seeds: int

    def runs(self, first_seed: int) -> list[Single]:
        """Every run, seed by seed. A seed also decides which rows are in which fold."""
        found = []
        for seed in range(first_seed, first_seed + self.seeds):
            for fold in range(1, (self.folds or 1) + 1):
                if self.folds is None:
                    found.append(Single(f"seed-{seed}", f"seed {seed}", None, seed, (f"seed={seed}",)))
                    continue
                own = (f"seed={seed}", f"data.split.fold={{number: {fold}, of: {self.folds}}}")
                name = f"fold {fold} of {self.folds}, seed {seed}"
                found.append(Single(f"fold-{fold}-seed-{seed}", name, fold, seed, own))
        return found

    def to_json(self) -> dict[str, Any]:
        """For run.json."""
        return {"folds": self.folds, "seeds": self.seeds}


class Summary(JsonObject):
    """A metric of several runs."""

    mean: float
    """The mean of the values."""
    sd: float
    """Their standard deviation, with n - 1 in its denominator."""
    interval: tuple[float, float]
    """95 % interval of the mean: ``mean +- t sd / sqrt(n)``, t of Student's distribution with n - 1 degrees of freedom.

    It takes the runs for independent. Folds share most of their train rows, so the truth is wider.
    """
    values: Sequence[float]
    """The metric of each run, seed by seed, and fold by fold in each."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """The summary of at least two values."""
        mean = mean_of(values)
        sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
        reach = student(LEVEL, len(values) - 1) * sd / math.sqrt(len(values))
        return cls(mean, sd, (mean - reach, mean + reach), tuple(values))


def mean_of(values: Sequence[float]) -> float:
    """The mean of at least one value."""
    return math.fsum(values) / len(values)


def summaries(metrics: Sequence[Mapping[str, float | None]]) -> dict[str, Summary]:
    """The summary of each metric that all runs have as a finite number."""
    found = {}
    for name in metrics[0]:
        values = [each.get(name) for each in metrics]
        numbers = [float(value) for value in values if value is not None and math.isfinite(value)]
        if len(numbers) == len(metrics):
            found[name] = Summary.of(numbers)
    return found


def student(level: float, degrees: int) -> float:
    """The t for which ``|T| < t`` has the probability ``level``, T of Student's distribution.

    Source: Abramowitz & Stegun, Handbook of Mathematical Functions (1964), equations 26.7.3 and 26.7.4.
    """
    low, high = 0.0, math.pi / 2  # of atan(t / sqrt(degrees))
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < level else (low, middle)
    return math.tan(high) * math.sqrt(degrees)


def _within(angle: float, degrees: int) -> float:
    """The probability of ``|T| < sqrt(degrees) tan(angle)``."""
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2
    term = total = (cosine if degrees > 1 else 0.0) if is_odd else 1.0
    for k in range(3 if is_odd else 2, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return (angle + sine * total) * 2 / math.pi if is_odd else sine * total


def summary_lines(found: Mapping[str, Summary], baselines: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What the numbers are, then the metrics of the test split (or of all, without one), a line each."""
    names = [name for name in found if name.startswith("test/")] or list(found)
    count = len(found[names[0]].values)
    freedom = f"{count - 1} degree{'s' * (count > 2)} of freedom"
    head = f"mean of {count} runs (sd, 95 % interval of the mean by Student's t with {freedom})"
    return [head, *(_line(name, found[name], baselines) for name in names)]


def _line(name: str, found: Summary, baselines: Mapping[str, Mapping[str, float]]) -> str:
    low, high = found.interval
    others = {baseline: values[name] for baseline, values in baselines.items() if name in values}
    listed = "".join(f", {baseline} {number(value)}" for baseline, value in others.items())
    return f"{name} {number(found.mean)} (sd {number(found.sd)}, {number(low)} to {number(high)}{listed})"
