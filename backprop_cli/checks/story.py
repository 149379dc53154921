"""A wrong derivative, or a formula that is not followed, in one sentence."""

from __future__ import annotations

from backprop_cli.checks.method import METHODS
from backprop_cli.checks.methods.auto import FORWARD
from backprop_cli.checks.result import Report

_WORDS = {
    FORWARD: ("forward mode's gradient", "the loss's slope"),
    "optimizer": ("the number of its update", "that of its formula"),
    "average": ("the average", "that of its definition"),
    "initializer": ("mean and deviation of its draws", "of its moments"),
}
"""What the two numbers of an entry are, for kinds of checks of which the method does not say it."""


def mistake(report: Report) -> str:
    """Of the worst check of a report that has not passed: where, both numbers, and the op to blame if it is known."""
    check = report.checks[0]
    worst = check.worst
    assert worst is not None
    at = f"[{', '.join(map(str, worst.index))}]" if worst.index else ""
    words = _WORDS.get(check.kind) or METHODS[report.method].words
    rules = "".join(f"; the rule of {rule.name} is wrong" for rule in report.rules[:1])
    return (
        f"{check.name}{at}: {words[0]} is {worst.analytic:.10g}, {words[1]} {worst.numeric:.10g} "
        f"(relative error {worst.relative_error:.2e}, tolerance {report.tolerance:g}){rules}"
    )
