"""What the figures must reach: one table, and its judge."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Result, median_ratio
from benchmarks.peers import BP, EAGER, FAST, STEPWISE, TORCH

Figure = tuple[str, float] | None
"""Whom ``bp`` was held against and the median ratio; None where nobody to hold it against ran."""


@dataclass(frozen=True)
class Bar:
    """The figure that ``read`` takes from a comparison and a line of bp must lie in [``at_least``, ``at_most``].

    ``fast``: what replaces ``at_least`` where bp compiles its steps.
    """

    case: str
    what: str
    read: Callable[[Result, str], Figure]
    at_least: float
    fast: float | None = None
    at_most: float | None = None


def _time(*peers: str) -> Callable[[Result, str], Figure]:
    """Time of the fastest of some peers divided by bp's time."""
    return lambda result, own: median_ratio(result, peers, own)


def _plan(result: Result, own: str) -> Figure:
    """Time of the plan alone divided by the whole loop's time."""
    return median_ratio(result, [f"{own}_plan"], own)


def _numpy(result: Result, own: str) -> Figure:
    """Time of the NumPy steps divided by the compiled steps' time."""
    return None if own == BP else median_ratio(result, [BP], own)


def _memory(*peers: str, fact: str = "memory_bytes") -> Callable[[Result, str], Figure]:
    """Peak memory of the most frugal of some peers divided by bp's."""

    def read(result: Result, own: str) -> Figure:
        known = {name: line.facts[fact] for name, line in result.lines.items() if line.facts.get(fact)}
        ran = {name: known[name] for name in peers if name in known}
        if not ran or own not in known:
            return None
        least = min(ran, key=lambda name: ran[name])
        return least, ran[least] / known[own]

    return read


def linearity(result: Result, own: str = BP) -> Figure:
    """Cost of a layer between depth 32 and 64 divided by its cost between 4 and 32: 1 if cost is linear."""
    if not {"depth-4", "depth-32", "depth-64"} <= result.lines.keys():
        return None
    rounds = zip(*(result.lines[f"depth-{depth}"].seconds for depth in (4, 32, 64)), strict=True)
    slopes = [((deep - middle) / 32) / ((middle - shallow) / 28) for shallow, middle, deep in rounds]
    return "bp", statistics.median(slopes)


_EAGER = "PyTorch eager"
_STEPS, _PYTORCH, _SCAN = "best peer called a step at a time", "best PyTorch", "JAX scan"

BARS = (
    Bar("tiny", _STEPS, _time(*STEPWISE), 1.5),
    Bar("tiny", _PYTORCH, _time(*TORCH), 6.0),
    Bar("tiny", _SCAN, _time("jax_scan"), 0.6, fast=1.0),
    Bar("tiny", "the plan alone", _plan, 0.95),
    Bar("small", _STEPS, _time(*STEPWISE), 1.1),
    Bar("small", _PYTORCH, _time(*TORCH), 3.5),
    Bar("small", _SCAN, _time("jax_scan"), 0.8),
    Bar("small", "the plan alone", _plan, 0.95),
    Bar("large", _STEPS, _time(*STEPWISE), 0.9, fast=1.0),
    Bar("large", _PYTORCH, _time(*TORCH), 1.0),
    Bar("large", _SCAN, _time("jax_scan"), 0.85),
    Bar("large", "bare matrix products", _time("gemm"), 0.6),
    Bar("large", "on NumPy alone", _numpy, 1.2),
    Bar("large", "the plan alone", _plan, 0.95),
    Bar("large", "peak memory, PyTorch", _memory(*TORCH), 2.0),
    Bar("depth", "a layer's cost, 32 to 64 over 4 to 32", linearity, 0.9, at_most=1.1),
    Bar("convolutions", _EAGER, _time(*EAGER), 1.0),
    Bar("convolutions", "peak memory, PyTorch eager", _memory(*EAGER), 1 / 3),
    Bar("convolutions", "memory of the steps alone, PyTorch eager", _memory(*EAGER, fact="step_memory_bytes"), 1 / 3),
    Bar("lenet-64", _EAGER, _time(*EAGER), 1.0),
    Bar("lenet-256", _EAGER, _time(*EAGER), 1.0),
    Bar("gru", _EAGER, _time(*EAGER), 0.8),
    Bar("transformer", _EAGER, _time(*EAGER), 0.8),
    Bar("batch_norm", _EAGER, _time(*EAGER), 1.2),
    Bar("layer_norm", _EAGER, _time(*EAGER), 1.2),
    Bar("iris-process", "torch script", _time("torch_script"), 3.0),
    Bar("iris-process", "scikit-learn script", _time("sklearn_script"), 2.0),
    Bar("help", "python -c 'import typer'", _time("typer"), 1 / 3),
)


@dataclass(frozen=True)
class Verdict:
    """A bar and what was measured."""

    bar: Bar
    against: str
    figure: float
    at_least: float

    @property
    def passed(self) -> bool:
        """Whether the figure lies within the bar."""
        return self.figure >= self.at_least and (self.bar.at_most is None or self.figure <= self.bar.at_most)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "case": self.bar.case,
            "what": self.bar.what,
            "against": self.against,
            "figure": self.figure,
            "at_least": self.at_least,
            "at_most": self.bar.at_most,
            "passed": self.passed,
        }


def judge(results: Sequence[Result], fast: bool = False) -> list[Verdict]:
    """Every bar whose comparison and peers were measured; ``fast`` judges bp with compiled steps where that ran."""
    verdicts = []
    for bar in BARS:
        for result in results:
            own = FAST if fast and FAST in result.lines else result.baseline
            figure = bar.read(result, own) if result.name == bar.case else None
            if figure is not None:
                at_least = bar.fast if own == FAST and bar.fast is not None else bar.at_least
                verdicts.append(Verdict(bar, *figure, at_least))
    return verdicts
