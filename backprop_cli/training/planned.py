"""From what traces a program to its plan, with the seconds of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from backprop_cli.autodiff import Array, Program
from backprop_cli.execution.plan import Plan
from backprop_cli.stopwatch import Stopwatch


def planned(
    trace: Callable[[], Program], arrays: Mapping[str, Array], watch: Stopwatch, compiled: bool = False
) -> Plan:
    """The traced program's plan on ``arrays``."""
    with watch("trace"):
        program = trace()
    with watch("plan"):
        return Plan(program, arrays, compiled=compiled)
