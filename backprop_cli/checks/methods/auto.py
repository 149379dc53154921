"""The verdict of differences, the complex step and forward mode together."""

from __future__ import annotations

from backprop_cli.checks.method import METHODS, ROUNDING, Method, Options, checks_of, entrywise
from backprop_cli.checks.methods.central import by_difference
from backprop_cli.checks.methods.complex import by_complex_step, differing
from backprop_cli.checks.objective import Direction, Objective, Tensor, unit
from backprop_cli.checks.result import Check, CheckedEntry, judged

FORWARD = "forward mode"
"""Kind of a check that forward mode failed."""


@METHODS.register
class Auto(Method):
    """Every sampled entry by central differences and by the complex step; all entries along random directions by the
    complex step and in forward mode.

    The complex step sees what a difference's rounding and curvature hide. The difference needs only values: a failure
    beyond its error is never overruled, and its agreement confirms the complex step. At a kink both sides are checked.
    Where a direction shows a mistake its entry is found by halving. Where only forward mode is wrong it has a check of
    its own.
    """

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """Sampled entries, and what directions find beside them."""

        def judge(tensor: Tensor, direction: Direction, index: tuple[int, ...]) -> CheckedEntry:
            exact = by_complex_step(objective, tensor, direction, index, options.tolerance)
            beside = objective.complex_beside
            return _agreed(by_difference(objective, direction, index, options.tolerance, beside), exact)

        suspects = differing(objective, options, objective.slope, objective.complex)
        entries = entrywise(objective, options, judge, suspects)
        checks = dict(zip(objective.tensors, checks_of(entries), strict=True))
        right = {tensor for tensor, check in checks.items() if check.verdict not in ("FAIL", "NONFINITE")}
        return [*checks.values(), *(check for tensor, check in _forward(objective, options) if tensor in right)]


def _agreed(difference: CheckedEntry, exact: CheckedEntry) -> CheckedEntry:
    """The verdict of two witnesses: the difference at a kink and if it fails, else the complex step if it agrees or the
    difference is undecided.
    """
    if difference.is_beside or difference.verdict in ("KINK", "FAIL"):
        return difference
    if exact.verdict in ("PASS", "NONFINITE") or difference.verdict == "TINY":
        return exact
    return difference


def _forward(objective: Objective, options: Options) -> list[tuple[Tensor, Check]]:
    """A check of each tensor along which forward mode differs from the complex step."""
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
