"""Differences, the complex step and forward mode together."""

from __future__ import annotations

from backprop_cli.checks.method import METHODS, ROUNDING, Method, Options, checks_of, entrywise
from backprop_cli.checks.methods.central import by_difference
from backprop_cli.checks.methods.complex import by_complex_step, differing
from backprop_cli.checks.objective import Direction, Objective, Tensor, unit
from backprop_cli.checks.result import Check, CheckedEntry, judged

FORWARD = "forward mode"
"""Kind of the checks of forward mode."""


@METHODS.register
class Auto(Method):
    """Sampled entries by central differences and the complex step; all entries along random directions.

    Directions use the complex step and forward mode. The complex step shows mistakes that a difference hides by its
    rounding or curvature. The difference needs only values: a failure beyond its error is never overruled, and its
    agreement confirms the complex step. At a kink both sides are checked. If a direction shows a mistake, bisection
    finds the entry. If only forward mode is wrong, it gets a check of its own.
    """

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """Sampled entries, and entries found by directions."""

        def judge(tensor: Tensor, direction: Direction, index: tuple[int, ...]) -> CheckedEntry:
            exact = by_complex_step(objective, tensor, direction, index, options.tolerance)
            difference = by_difference(objective, direction, index, options.tolerance, objective.complex_at)
            return _agreed(difference, exact)

        suspects = differing(objective, options, objective.slope, objective.complex)
        entries = entrywise(objective, options, judge, suspects)
        checks = dict(zip(objective.tensors, checks_of(entries), strict=True))
        right = {tensor for tensor, check in checks.items() if check.verdict not in ("FAIL", "NONFINITE")}
        return [*checks.values(), *(check for tensor, check in _forward(objective, options) if tensor in right)]


def _agreed(difference: CheckedEntry, exact: CheckedEntry) -> CheckedEntry:
    """The verdict of two witnesses.

    The difference decides at a kink and if it fails; else the complex step, if it agrees or the difference is
    undecided.
    """
    if difference.is_off_point or difference.verdict in ("KINK", "FAIL"):
        return difference
    if exact.verdict in ("PASS", "NONFINITE") or difference.verdict == "TINY":
        return exact
    return difference


def _forward(objective: Objective, options: Options) -> list[tuple[Tensor, Check]]:
    """A check for each tensor in which forward mode differs from the complex step."""
    failed = []
    for tensor, element in differing(objective, options, objective.forward, objective.complex):
        along = unit(tensor, element)
        found, wanted = objective.forward(along), objective.complex(along)
        noise = ROUNDING * objective.rounding.of_gradient[tensor]
        verdict = judged(found, wanted, options.tolerance, noise)
        if verdict in ("FAIL", "NONFINITE"):
            entry = CheckedEntry(tensor.index(element), found, wanted, verdict)
            failed.append((tensor, Check(tensor.name, FORWARD, tensor.shape, (entry,))))
    return failed
