"""Results as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from benchmarks.bars import Bar, Verdict, linearity
from benchmarks.measure import Result, median_ratio
from benchmarks.peers import BP, EAGER

_MILLI, _MICRO = 1e3, 1e6
FAMILIES_TITLE = "time of PyTorch (eager, the faster Adam) over that of bp"
_SAME_LOSS = 0.05
_QUARTERS = (0, 0.25, 0.5, 0.75, 1)
_ARTICLES = {"step": "a", "epoch": "an", "process": "a", "compilation": "a"}


def machine_text(machine: dict[str, Any]) -> str:
    """A few lines: processor, versions, BLAS, C compiler."""
    blas = machine["blas"]
    kernel = "unknown"
    if blas:
        kernel = f"{blas['internal_api']} {blas['version']}, kernel {blas['architecture']}"
    count = machine["processors"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    load = "" if machine["load"] is None else f", load {machine['load'][0]:.2f}"
    lines = [
        f"{machine['date']}  {machine['cpu']}, {count} processor{'s' if count > 1 else ''}{load}",
        f"revision {machine['revision'] or 'unknown'}, Python {machine['python']}, {packages}",
        f"BLAS of NumPy: {kernel}",
        f"C compiler: {machine['compiler'] or machine['no_compiler']}",
    ]
    if machine["environment"]:
        lines.append("set: " + " ".join(f"{name}={value}" for name, value in machine["environment"].items()))
    return "\n".join(lines)


def result_text(result: Result) -> str:
    """One comparison: a line each, with its time, its ratios to the baseline, its memory and its loss."""
    data = result.to_json()["lines"]
    milli = max(line["median_seconds"] for line in data.values()) >= 0.1
    header = [
        "",
        "",
        f"{'ms' if milli else 'us'} {_ARTICLES[result.unit]} {result.unit}",
        "min",
        "median",
        "max",
        "peak MB",
        "threads",
        "loss",
    ]
    rows = [header, *([name, line["title"], *_numbers(line, milli)] for name, line in data.items())]
    lines = [f"{result.name}: {result.title}; ratios are to {result.baseline}", *_aligned(rows, left=2)]
    lines += [f"  {name}: {reason}" for name, reason in result.skipped.items()]
    lines += [f"  {name}: its loss after an epoch is not that of bp; is it the same work?" for name in _astray(result)]
    slope = linearity(result)
    if slope is not None:
        lines.append(f"  a layer's cost from 32 to 64 layers over that from 4 to 32: {slope[1]:.2f}")
    return "\n".join(lines)


def _astray(result: Result) -> list[str]:
    """Peers that did not learn what bp learned from the same weights and batches, though rounding may differ."""
    losses = {name: line.facts.get("loss_after_an_epoch") for name, line in result.lines.items()}
    own = losses.get(BP)
    return [name for name, loss in losses.items() if own and loss and abs(loss - own) > _SAME_LOSS * own]


def _numbers(line: dict[str, Any], milli: bool) -> list[str]:
    time = line["median_seconds"] * (_MILLI if milli else _MICRO)
    ratio = line["ratio"]
    loss, threads = line.get("loss_after_an_epoch"), line.get("threads")
    return [
        f"{time:,.1f}" if time < 100 else f"{time:,.0f}",
        *(f"{ratio[key]:.2f}" for key in ("min", "median", "max")),
        f"{line['memory_bytes'] / 1e6:.0f}",
        "" if threads is None else str(threads),
        "" if loss is None else f"{loss:.4f}",
    ]


def families_text(results: Sequence[Result]) -> str:
    """How PyTorch / bp is distributed over the draws of each family, and over all; empty if none was measured."""
    rows = families_rows(results)
    return "\n".join([f"random networks: {FAMILIES_TITLE}", *_aligned(rows)]) if rows else ""


def families_rows(results: Sequence[Result]) -> list[list[str]]:
    """The same as the cells of a table, its head first."""
    ratios: dict[str, list[float]] = {}
    for result in results:
        figure = median_ratio(result, EAGER) if result.name.startswith("family-") else None
        if figure is not None:
            ratios.setdefault(result.name.split("-")[1], []).append(figure[1])
    if not ratios:
        return []
    rows = [["family", "draws", "min", "quartile", "median", "quartile", "max"]]
    for name, found in {**ratios, "all": list(chain.from_iterable(ratios.values()))}.items():
        rows.append([name, str(len(found)), *(f"{figure:.2f}" for figure in np.quantile(found, _QUARTERS))])
    return rows


def bars_text(verdicts: Sequence[Verdict], unmeasured: Sequence[Bar]) -> str:
    """The bars, those missed marked, and those that need a C compiler."""
    parts = [_verdicts_text(verdicts)] if verdicts else []
    if unmeasured:
        parts.append("\n".join(["not measured, for want of a C compiler:", *(f"  {bar.name}" for bar in unmeasured)]))
    return "\n\n".join(parts)


def _verdicts_text(verdicts: Sequence[Verdict]) -> str:
    rows = [["bar", "against", "ratio", "at least", ""]]
    for verdict in verdicts:
        bar = verdict.bar
        limit = f"{bar.at_least:.2f}" + ("" if bar.at_most is None else f" to {bar.at_most:.2f}") + bar.unit
        names = f"{bar.what}: {verdict.against}" if verdict.against not in ("bp", bar.what) else bar.what
        rows.append([bar.case, names, f"{verdict.figure:.3f}{bar.unit}", limit, "" if verdict.passed else "MISSED"])
    return "\n".join(["bars: time (or memory) of the peer over that of bp, medians", *_aligned(rows, left=2)])


def _aligned(rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("  " + "  ".join(cells)).rstrip()
