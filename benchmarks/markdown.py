"""The tables of docs/benchmarks.md, from what ``--json`` wrote: ``python -m benchmarks.markdown FILE ...``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bars import BARS
from benchmarks.cases import DENSE
from benchmarks.comparisons import LAYERS
from benchmarks.measure import Line, Result, median_ratio
from benchmarks.peers import BP, EAGER, NUMPY, PEERS
from benchmarks.table import families_rows

Rows = list[list[str]]


def tables(results: Sequence[Result]) -> Iterator[str]:
    """Every table whose comparisons were measured; of two of one name, the later one."""
    named = {result.name: result for result in results}
    yield from (_markdown(rows) for rows in _rows(named) if len(rows) > 1)


def _rows(named: dict[str, Result]) -> tuple[Rows, ...]:
    results = list(named.values())
    return (
        _steps(named),
        families_rows(results),
        _libraries(named),
        _memory(named),
        _processes(results),
        _compilation(named),
    )


def _markdown(rows: Rows) -> str:
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *others])


def _steps(named: dict[str, Result]) -> Rows:
    rows = [["case", "network", "batch", "`bp`, ms", "PyTorch / `bp`", "`bp_numpy` / `bp`"]]
    for result in (named[name] for name in (*DENSE, *LAYERS) if name in named):
        network, _, batch = result.title.rpartition(", batch ")
        rows.append([f"`{result.name}`", network, batch, _number(1e3 * result.lines[BP].median)])
        rows[-1] += [_ratio(result, *EAGER), _ratio(result, NUMPY)]
    return rows


def _libraries(named: dict[str, Result]) -> Rows:
    found = {name: named[name] for name in DENSE if name in named}
    rows = [["us a step", *found]]
    for peer in PEERS:
        cells = [_cell(result, peer) for result in found.values()]
        if any(cells):
            rows.append([f"`{peer}`", *cells])
    return rows


def _cell(result: Result, peer: str) -> str:
    if peer not in result.lines:
        return ""
    time = _number(1e6 * result.lines[peer].median)
    return time if peer == result.baseline else f"{time} ({_ratio(result, peer)})"


def _memory(named: dict[str, Result]) -> Rows:
    lines = named["large"].lines if "large" in named else {}
    head = ["`large`, peak MB", *(f"`{name}`" for name in lines)]
    return [head, ["", *(_megabytes(line) for line in lines.values())]] if lines else []


def _megabytes(line: Line) -> str:
    return f"{line.facts['memory_bytes'] / 1e6:.0f}"


def _processes(results: Sequence[Result]) -> Rows:
    rows = [["job", "process", "s", "process / `bp`", "peak MB"]]
    for result in (result for result in results if result.unit == "process"):
        for name, line in result.lines.items():
            seconds, ratio = _number(line.median), _ratio(result, name)
            rows.append([f"`{result.name}`", f"`{line.title}`", seconds, ratio, _megabytes(line)])
    return rows


def _compilation(named: dict[str, Result]) -> Rows:
    rows = [["compilation", "slowest", "s"]]
    for bar in BARS if "compilation" in named else ():
        figure = bar.read(named["compilation"]) if bar.case == "compilation" else None
        if figure is not None:
            rows.append([bar.what, f"`{figure[0]}`", f"{figure[1]:.2f}"])
    return rows


def _ratio(result: Result, *peers: str) -> str:
    figure = median_ratio(result, peers)
    return "" if figure is None else f"{figure[1]:.2f}"


def _number(number: float) -> str:
    """Three digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def main(files: Sequence[str]) -> None:
    """Print the tables of all files."""
    found = [json.loads(Path(file).read_text()) for file in files]
    results = [Result.from_json(each) for content in found for each in content["comparisons"]]
    print("\n\n".join(tables(results)))


if __name__ == "__main__":
    main(sys.argv[1:])
