"""``python -m benchmarks``: measure, print, write, judge."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.bars import judge
from benchmarks.comparisons import COMPARISONS, Comparison, drawn
from benchmarks.families import FAMILIES
from benchmarks.machine import machine
from benchmarks.measure import Result, measure
from benchmarks.participant import Unavailable
from benchmarks.peers import PEERS
from benchmarks.table import bars_text, families_text, machine_text, result_text


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="bp against its peers, side by side.")
    parser.add_argument("--cases", nargs="+", default=["*"], metavar="NAME", help="comparisons, wildcards allowed")
    parser.add_argument("--peers", nargs="+", default=["*"], metavar="NAME", help="peers, likewise; bp always runs")
    parser.add_argument("--families", type=_positive, metavar="N", help="N random networks of each family, no others")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the random networks (0)")
    parser.add_argument("--rounds", type=_positive, default=9, metavar="N", help="times each is measured (9)")
    parser.add_argument("--seconds", type=float, default=0.3, metavar="S", help="length of a measurement (0.3)")
    parser.add_argument("--processors", type=_positive, metavar="N", help="let everyone use only N processors (all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything, every round included")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--list", action="store_true", help="list cases and peers, and what is not installed")
    return parser.parse_args(given)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _any_of(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _listing() -> str:
    width = max(map(len, (*COMPARISONS, *PEERS)))
    lines = ["cases:", *(f"  {name:<{width}} {comparison.title}" for name, comparison in COMPARISONS.items())]
    lines += [f"  {f'family-{name}-*':<{width}} random networks: only with --families" for name in FAMILIES]
    lines.append("peers:")
    for name, peer in PEERS.items():
        reason = peer.missing()
        lines.append(f"  {name:<{width}} {peer.title}" + (f"  ({reason})" if reason else ""))
    return "\n".join(lines)


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def main(given: Sequence[str] | None = None) -> int:
    """Run the chosen comparisons; the exit code."""
    arguments = _arguments(given)
    if arguments.list:
        print(_listing())
        return 0
    known = COMPARISONS
    if arguments.families is not None:
        known = {comparison.name: comparison for comparison in drawn(arguments.families, arguments.seed)}
    chosen = [comparison for name, comparison in known.items() if _any_of(arguments.cases, name)]
    refusal = _refusal(arguments, known, chosen)
    if refusal:
        print(refusal, file=sys.stderr)
        return 2
    if arguments.processors is not None:
        # Set before any worker starts: BLAS, OpenMP, XLA and bp's own rule all count the processors they may use.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.processors])
    where = machine()
    print(machine_text(where), flush=True)
    results = list(_measured(chosen, arguments))
    verdicts, unmeasured = judge(results, can_compile=not where["no_compiler"])
    for part in (families_text(results), bars_text(verdicts, unmeasured)):
        if part:
            print(f"\n{part}")
    if arguments.json is not None:
        content = {
            "machine": where,
            "rounds": arguments.rounds,
            "seconds": arguments.seconds,
            "comparisons": [result.to_json() for result in results],
            "bars": [verdict.to_json() for verdict in verdicts],
            "bars_not_measured": [bar.name for bar in unmeasured],
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    missed = arguments.check and not all(verdict.passed for verdict in verdicts)
    return 1 if missed or len(results) < len(chosen) else 0


def _refusal(arguments: argparse.Namespace, known: Iterable[str], chosen: Sequence[Comparison]) -> str:
    """What cannot be done as asked; empty if it can."""
    if not chosen:
        return f"no case is called {' or '.join(arguments.cases)}; known: {', '.join(known)}"
    unknown = [pattern for pattern in arguments.peers if not any(fnmatch(name, pattern) for name in PEERS)]
    if unknown:
        return f"no peer is called {' or '.join(unknown)}; known: {', '.join(PEERS)}"
    if arguments.processors is not None and not hasattr(os, "sched_setaffinity"):
        return "--processors: this system cannot bind a process to processors; leave it out"
    return ""


def _measured(chosen: Sequence[Comparison], arguments: argparse.Namespace) -> Iterator[Result]:
    """The comparisons one after the other, each printed as soon as it is measured."""

    def wanted(name: str) -> bool:
        return _any_of(arguments.peers, name) or name not in PEERS

    for comparison in chosen:
        try:
            result = measure(comparison, wanted, arguments.rounds, arguments.seconds, _tell)
        except Unavailable as reason:
            print(f"\n{comparison.name}: {comparison.baseline}: {reason}", file=sys.stderr)
            continue
        _tell("")
        print(f"\n{result_text(result)}", flush=True)
        yield result


if __name__ == "__main__":
    sys.exit(main())
