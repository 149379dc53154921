"""Results of checks: a report has checks, a check has entries, an entry has a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from backprop_cli.json_object import JsonObject

Verdict = Literal["PASS", "FAIL", "KINK", "TINY", "NONFINITE"]
"""``KINK``: on a kink, and right on both sides of it. ``TINY``: rounding may explain an error above the tolerance.
``NONFINITE``: a derivative, or the function, is not a finite number."""

_SEVERITY: dict[Verdict, int] = {"PASS": 0, "TINY": 1, "KINK": 2, "NONFINITE": 3, "FAIL": 4}


def relative_error(analytic: float, numeric: float) -> float:
    """``|a - n| / max(|a|, |n|)``; 0 if both are 0, NaN if one is not finite."""
    scale = max(abs(analytic), abs(numeric))
    return abs(analytic - numeric) / scale if scale > 0 else 0.0 if scale == 0 else math.nan


def judged(analytic: float, numeric: float, tolerance: float, noise: float) -> Verdict:
    """The verdict on two numbers; rounding of the second can be as large as ``noise``."""
    if not (math.isfinite(analytic) and math.isfinite(numeric)):
        return "NONFINITE"
    error = abs(analytic - numeric)
    if error <= tolerance * max(abs(analytic), abs(numeric)):
        return "PASS"
    return "TINY" if error <= noise else "FAIL"


@dataclass(frozen=True)
class CheckedEntry(JsonObject):
    """One derivative, both ways. ``is_off_point``: taken near the point, because the point lies on a kink."""

    json_keys: ClassVar = ("index", "analytic", "numeric")

    index: tuple[int, ...]
    analytic: float
    numeric: float
    verdict: Verdict
    is_off_point: bool = False

    @property
    def is_judged(self) -> bool:
        """Whether the entry could be judged at the point itself."""
        return self.verdict not in ("KINK", "TINY")

    @property
    def absolute_error(self) -> float:
        """``|a - n|``."""
        return abs(self.analytic - self.numeric)

    @property
    def relative_error(self) -> float:
        """``|a - n| / max(|a|, |n|)``; 0 where both are 0."""
        return relative_error(self.analytic, self.numeric)


@dataclass(frozen=True)
class Check(JsonObject):
    """The derivatives by one array, at a sample of its entries.

    ``tolerance``: the method's own, if it did not apply the given one.
    """

    json_keys: ClassVar = (
        "name",
        "kind",
        "shape",
        "size",
        "checked",
        "judged",
        "max_relative_error",
        "max_absolute_error",
        "worst",
        "verdict",
    )

    name: str
    kind: str
    shape: tuple[int, ...]
    entries: tuple[CheckedEntry, ...]
    tolerance: float | None = None

    @property
    def size(self) -> int:
        """Entries of the array."""
        return math.prod(self.shape)

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict of the entries; TINY only if no entry could be judged, or none was checked."""
        verdicts: set[Verdict] = {entry.verdict for entry in self.entries}
        if "PASS" in verdicts:
            verdicts.discard("TINY")
        nothing: Verdict = "TINY" if self.size else "PASS"  # an empty array has no derivatives
        return max(verdicts or {nothing}, key=lambda verdict: _SEVERITY[verdict])

    @property
    def judged(self) -> int:
        """Number of entries that could be judged."""
        return sum(entry.is_judged for entry in self.entries)

    @property
    def is_unjudged(self) -> bool:
        """Whether the array has entries and none could be judged."""
        return self.size > 0 and self.judged == 0

    @property
    def worst(self) -> CheckedEntry | None:
        """The entry that decides the verdict, with the largest relative error."""
        return max(self._decisive, key=lambda entry: _sortable(entry.relative_error), default=None)

    @property
    def checked(self) -> int:
        """Number of entries that were sampled."""
        return len(self.entries)

    @property
    def max_relative_error(self) -> float:
        """The largest of the entries that decide the verdict; infinite if one is NaN."""
        return max((_sortable(entry.relative_error) for entry in self._decisive), default=0.0)

    @property
    def max_absolute_error(self) -> float:
        """The largest of the entries that decide the verdict; infinite if one is NaN."""
        return max((_sortable(entry.absolute_error) for entry in self._decisive), default=0.0)

    @property
    def _decisive(self) -> list[CheckedEntry]:
        verdict = self.verdict
        return [entry for entry in self.entries if entry.verdict == verdict]


@dataclass(frozen=True)
class Score(JsonObject):
    """How many broken rules a check noticed, not counting those that change no number."""

    total: int
    killed: int
    survivors: tuple[str, ...]


@dataclass(frozen=True)
class Report(JsonObject):
    """All checks of a network, worst first.

    ``rules``: the ops with a wrong rule, if a gradient is wrong. ``mutants``: how many rules broken on purpose the
    check noticed, if requested. ``strict``: a check without a judged entry fails.
    """

    json_keys: ClassVar = (
        "passed",
        "target",
        "method",
        "dtype",
        "tolerance",
        "tolerance_of",
        "checks",
        "rules",
        "unjudged",
        "mutants",
    )
    json_optional: ClassVar = ("tolerance_of", "rules", "unjudged", "mutants")

    target: str
    tolerance: float
    checks: tuple[Check, ...]
    seconds: float
    method: str = "auto"
    dtype: str = "float64"
    rules: tuple[Check, ...] = ()
    mutants: Score | None = None
    strict: bool = False
    tolerance_of: str = ""
    """Reference of the tolerance; empty: the derivative."""

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Names of the checks without a judged entry."""
        return tuple(check.name for check in self.checks if check.is_unjudged)

    @property
    def passed(self) -> bool:
        """Whether no gradient is wrong or not finite, no broken rule went unnoticed, and (``strict``) nothing was left
        unjudged.
        """
        if (self.mutants is not None and self.mutants.survivors) or (self.strict and self.unjudged):
            return False
        return all(check.verdict not in ("FAIL", "NONFINITE") for check in self.checks)

    @property
    def worst(self) -> Check | None:
        """The gravest check; if all passed, the judged one with the largest relative error."""
        wrong = any(check.verdict in ("FAIL", "NONFINITE") for check in self.checks)
        first = self.checks if wrong else [check for check in self.checks if check.verdict == "PASS"]
        return next(iter([*first, *self.checks]), None)


def _sortable(error: float) -> float:
    return math.inf if math.isnan(error) else error


def applied_tolerance(checks: Sequence[Check], given: float) -> float:
    """The largest tolerance that a method set itself, else the given one."""
    return max((check.tolerance for check in checks if check.tolerance is not None), default=given)


def graver(check: Check, known: Check | None) -> Check:
    """The more informative of two checks of one tensor: one with a judged entry, then the worse one."""
    if known is None or check.is_unjudged != known.is_unjudged:
        return check if known is None or known.is_unjudged else known
    return worst_first([check, known])[0]


def worst_first(checks: Sequence[Check]) -> tuple[Check, ...]:
    """Checks sorted by verdict, then by the largest relative error."""

    def gravity(check: Check) -> tuple[int, float]:
        worst = check.worst
        return -_SEVERITY[check.verdict], -_sortable(worst.relative_error) if worst is not None else 0.0

    return tuple(sorted(checks, key=gravity))
