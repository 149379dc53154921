"""What the figures must reach: one table, and its judge."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from benchmarks.cases import DENSE
from benchmarks.compilation import CACHED, READY
from benchmarks.families import FAMILIES
from benchmarks.jobs import JOBS
from benchmarks.measure import Result, median_ratio
from benchmarks.peers import BP, EAGER, NUMPY, STEPWISE, TORCH

Figure = tuple[str, float] | None
"""Whom ``bp`` was held against and the median ratio; None where nobody to hold it against ran."""


@dataclass(frozen=True)
class Bar:
    """The figure that ``read`` takes from a comparison must lie in [``at_least``, ``at_most``].

    ``case``: its name; of several, by a wildcard, the smallest figure counts.
    ``compiled``: it is a bar for compiled steps; without a C compiler it is not measured. ``unit``: of a figure that is
    no ratio.
    """

    case: str
    what: str
    read: Callable[[Result], Figure]
    at_least: float
    at_most: float | None = None
    compiled: bool = True
    unit: str = ""

    @property
    def name(self) -> str:
        """Case and what is held against it."""
        return f"{self.case}: {self.what}"


def _time(*peers: str, of: str | None = None) -> Callable[[Result], Figure]:
    """Time of the fastest of some peers divided by that of the baseline, or of line ``of``."""
    return lambda result: median_ratio(result, peers, of) if (of or result.baseline) in result.lines else None


def _memory(*peers: str, fact: str = "memory_bytes") -> Callable[[Result], Figure]:
    """Peak memory of the most frugal of some peers divided by bp's."""

    def read(result: Result) -> Figure:
        known = {name: line.facts[fact] for name, line in result.lines.items() if line.facts.get(fact)}
        ran = {name: known[name] for name in peers if name in known}
        if not ran or result.baseline not in known:
            return None
        least = min(ran, key=lambda name: ran[name])
        return least, ran[least] / known[result.baseline]

    return read


def _slowest(*names: str) -> Callable[[Result], Figure]:
    """The longest time of some lines, in seconds."""

    def read(result: Result) -> Figure:
        found = {name: result.lines[name].median for name in names if name in result.lines}
        return max(found.items(), key=lambda each: each[1]) if found else None

    return read


def linearity(result: Result) -> Figure:
    """Cost of a layer between depth 32 and 64 divided by its cost between 4 and 32: 1 if cost is linear."""
    if not {"depth-4", "depth-32", "depth-64"} <= result.lines.keys():
        return None
    rounds = zip(*(result.lines[f"depth-{depth}"].seconds for depth in (4, 32, 64)), strict=True)
    slopes = [((deep - middle) / 32) / ((middle - shallow) / 28) for shallow, middle, deep in rounds]
    return BP, statistics.median(slopes)


def _dense(case: str, steps: float, torch: float, scan: float) -> tuple[Bar, ...]:
    return (
        Bar(case, "best peer called a step at a time", _time(*STEPWISE), steps),
        Bar(case, "best PyTorch", _time(*TORCH), torch),
        Bar(case, "JAX scan", _time("jax_scan"), scan),
        Bar(case, "the plan alone on NumPy", _time("bp_numpy_plan", of=NUMPY), 0.95, compiled=False),
    )


def _compilation(what: str, most: float, *names: str) -> Bar:
    return Bar("compilation", what, _slowest(*names), 0.0, at_most=most, unit=" s")


def _eager(case: str, at_least: float) -> Bar:
    return Bar(case, "PyTorch eager", _time(*EAGER), at_least)


BARS = (
    *_dense("tiny", 6.0, 35.0, 1.5),
    *_dense("small", 1.5, 5.0, 1.2),
    *_dense("large", 1.2, 1.4, 1.05),
    Bar("large", "bare matrix products", _time("gemm"), 0.6),
    Bar("large", "on NumPy alone", _time(NUMPY), 1.2),
    Bar("large", "peak memory, PyTorch", _memory(*TORCH), 3.0, compiled=False),
    Bar("depth", "a layer's cost, 32 to 64 over 4 to 32", linearity, 0.9, at_most=1.1, compiled=False),
    _eager("convolutions", 1.5),
    Bar("convolutions", "peak memory, PyTorch eager", _memory(*EAGER), 1 / 3, compiled=False),
    Bar(
        "convolutions",
        "memory of the steps alone, PyTorch eager",
        _memory(*EAGER, fact="step_memory_bytes"),
        1 / 3,
        compiled=False,
    ),
    _eager("lenet-64", 1.7),
    _eager("lenet-256", 2.0),
    _eager("gru", 1.7),
    _eager("transformer", 1.3),
    _eager("batch_norm", 1.9),
    _eager("layer_norm", 1.8),
    *(_eager(case, 1.2) for case in ("images", "lstm", "text", "wide", "residual", "gelu_silu")),
    *(_eager(f"family-{family}-*", 1.0) for family in FAMILIES),
    Bar("iris-process", "torch script", _time("torch_script"), 3.0, compiled=False),
    Bar("iris-process", "scikit-learn script", _time("sklearn_script"), 2.0, compiled=False),
    *(Bar(f"jobs-{job}", "torch script", _time("torch_script"), 1.5) for job in JOBS),
    _compilation("tiny, small and large", 0.5, *DENSE),
    _compilation("ready configurations", 1.5, *READY),
    _compilation("from the cache", 0.1, *(f"{name}{CACHED}" for name in (*DENSE, *READY))),
    Bar("help", "python -c 'import typer'", _time("typer"), 1 / 3, compiled=False),
)


@dataclass(frozen=True)
class Verdict:
    """A bar and what was measured."""

    bar: Bar
    against: str
    figure: float

    @property
    def passed(self) -> bool:
        """Whether the figure lies within the bar."""
        return self.figure >= self.bar.at_least and (self.bar.at_most is None or self.figure <= self.bar.at_most)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "case": self.bar.case,
            "what": self.bar.what,
            "against": self.against,
            "figure": self.figure,
            "at_least": self.bar.at_least,
            "at_most": self.bar.at_most,
            "unit": self.bar.unit.strip(),
            "passed": self.passed,
        }


def judge(results: Sequence[Result], can_compile: bool = True) -> tuple[list[Verdict], list[Bar]]:
    """Every bar whose comparison and peers were measured; and the bars that need a C compiler, if there is none."""
    verdicts, unmeasured = [], []
    for bar in BARS:
        found = [(*figure, result.name) for result in results if (figure := _figure(bar, result))]
        if found and bar.compiled and not can_compile:
            unmeasured.append(bar)
        elif found:
            against, figure, case = min(found, key=lambda each: each[1])
            verdicts.append(Verdict(bar, against if case == bar.case else f"{against}, {case}", figure))
    return verdicts, unmeasured


def _figure(bar: Bar, result: Result) -> Figure:
    return bar.read(result) if fnmatch(result.name, bar.case) else None
