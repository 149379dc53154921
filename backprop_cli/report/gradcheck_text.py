"""The report of a gradient check as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backprop_cli.errors import plural
from backprop_cli.number_text import number
from backprop_cli.report.tables import shape_text, table

if TYPE_CHECKING:
    from backprop_cli.checks.result import Check, Report

_WRONG = ("FAIL", "NONFINITE")


def gradcheck_text(report: Report) -> str:
    """The table of checks, worst first; the worst entry of each wrong check; the verdict."""
    rows = [
        [
            check.name,
            check.kind,
            shape_text(check.shape),
            f"{check.checked}/{check.size}",
            check.max_relative_error,
            check.max_absolute_error,
            check.verdict,
        ]
        for check in report.checks
    ]
    header = ["name", "kind", "shape", "checked", "relative error", "absolute error", "verdict"]
    parts = [table(header, rows)]
    wrong = [check for check in report.checks if check.verdict in _WRONG and check.worst is not None]
    if wrong:
        parts.append(_worst_entries("wrong", wrong))
    if report.rules:
        parts.append(_worst_entries("wrong rule", report.rules))
    if report.mutants is not None:
        survivors = [f"not noticed: {survivor}" for survivor in report.mutants.survivors]
        score = f"{number(report.mutants.killed)} of {plural(report.mutants.total, 'broken rule')} noticed"
        parts.append("\n".join([*survivors, score]))
    return "\n\n".join([*parts, _verdict(report)])


def _worst_entries(title: str, checks: Sequence[Check]) -> str:
    """The worst entry of each check, with both numbers."""
    rows = [
        [
            check.name,
            check.kind,
            shape_text(worst.index),
            f"{worst.analytic:.10g}",
            f"{worst.numeric:.10g}",
            check.max_relative_error,
        ]
        for check in checks
        if (worst := check.worst) is not None
    ]
    return table([title, "kind", "index", "analytic", "numeric", "relative error"], rows)


def _verdict(report: Report) -> str:
    checks = report.checks
    wrong = sum(check.verdict in _WRONG for check in checks)
    of = f" of {report.tolerance_of}" if report.tolerance_of else ""
    how = f"method {report.method}, {report.dtype}, tolerance {number(report.tolerance)}{of}"
    judged, checked = sum(check.judged for check in checks), sum(check.checked for check in checks)
    count = f"{judged:,} of {checked:,} {'entry' if checked == 1 else 'entries'} judged"
    if wrong:
        return f"FAIL: {wrong} of {plural(len(checks), 'check')} wrong, {count} ({how})"
    if report.passed:
        return f"PASS: {plural(len(checks), 'check')}, {count} ({how})"
    if report.mutants is not None and report.mutants.survivors:
        return f"FAIL: {plural(len(checks), 'check')} passed, but not every broken rule is noticed ({how})"
    left = plural(len(report.unjudged), "check")
    return f"FAIL: no entry of {left} could be judged, and --strict asks for that; {count} ({how})"
