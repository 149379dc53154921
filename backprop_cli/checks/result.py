"""Results of checks: a report has checks, a check has entries, an entry has a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


class CheckedEntry(JsonObject):
    """One derivative, both ways."""

    json_keys: ClassVar = ("index", "analytic", "numeric")

    index: tuple[int, ...]
    """Index of the entry in its array."""
    analytic: float
    """The derivative by the program's rules."""
    numeric: float
    """The derivative by the reference."""
    verdict: Verdict
    """Its verdict."""
    is_off_point: bool = False
    """Taken near the point, because the point lies on a kink."""

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


class Check(JsonObject):
    """The derivatives by one array, at a sample of its entries."""

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
    """Name of the array: a parameter such as ``dense_1.weight``, or an operand of an op."""
    kind: str
    """What the array is: ``parameter``, ``op``, ``layer``, ``loss``, ``optimizer``, ..."""
    shape: tuple[int, ...]
    """Shape of the array."""
    entries: tuple[CheckedEntry, ...]
    """The sampled entries."""
    tolerance: float | None = None
    """The method's own tolerance, if it did not apply the given one."""

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


class Score(JsonObject):
    """How many rules broken on purpose a check noticed."""

    total: int
    """Number of broken rules, without those that change no number."""
    killed: int
    """How many of them the check noticed."""
    survivors: tuple[str, ...]
    """Names of those that it did not notice."""


class Report(JsonObject):
    """All checks of a network."""

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
    """What was checked: a file, or everything registered."""
    tolerance: float
    """Largest relative error that passes."""
    checks: tuple[Check, ...]
    """A check for each array, worst first."""
    seconds: float
    """Seconds that the checks took."""
    method: str = "auto"
    """The method of the reference."""
    dtype: str = "float64"
    """Precision of the check."""
    rules: tuple[Check, ...] = ()
    """The ops with a wrong rule, if a gradient is wrong."""
    mutants: Score | None = None
    """Rules broken on purpose, with ``--mutate``."""
    strict: bool = False
    """A check without a judged entry fails."""
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
