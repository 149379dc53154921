"""What must not change when code is moved: ``python -m tests.golden record FILE`` before, ``compare FILE`` after.

A record has, of every ready configuration whose data is in ``datasets/``, the sha256 of all tensors after a few steps
on NumPy, compiled (if there is a C compiler) and with two workers, and of every plan these runs make its number of
calls and peak bytes. Of six networks it has the printed programs as well, and of three what commands print as JSON.
A record is only good for comparisons on one machine with one set of libraries: it is made anew for each refactoring.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from safetensors.numpy import load_file

import backprop_cli
from backprop_cli.cli.app import run
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.execution.plan import Plan
from backprop_cli.session import start as start_module
from backprop_cli.session.threads import Threads

CONFIGS = Path(__file__).parents[1] / "configs"
PRINTED = ("digits_conv", "iris", "names_lstm", "penguins", "shakespeare", "skip")
SHOWN = ("digits_conv", "iris", "xor")
COMMANDS = (["show"], ["explain"], ["gradcheck"], ["validate"])
OF_A_RUN = (["eval"], ["jacobian"], ["jacobian", "--hessian"], ["show"])
SMALLER = {  # a step of these takes a second
    "names_gru": ["data.split={validation: 0.02, test: 0.02}"],
    "names_lstm": ["data.split={validation: 0.02, test: 0.02}"],
    "shakespeare": ["data.split={validation: 0.02, test: 0.02}", "data.text.context=16"],
}
STEPS = 3
TIMES = {"begin", "end", "start", "timings"}
WAYS = {"numpy": {}, "workers": {"share_out": lambda *_: Threads(1, 2)}, "compiled": {}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("action", choices=["record", "compare"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", nargs="*", help="the configurations of these names alone")
    arguments = parser.parse_args()
    # The cost of a step decides what is printed of its progress, not what is computed: one thread makes BLAS repeat.
    os.environ |= {"NO_COLOR": "1", "COLUMNS": "100"}
    found = dict(records(arguments.only))
    if arguments.action == "record":
        arguments.file.write_text(json.dumps(found, indent=1, sort_keys=True))
        print(f"{len(found)} records in {arguments.file}")
        return
    before = json.loads(arguments.file.read_text())
    if arguments.only:
        before = {name: record for name, record in before.items() if name.split()[0] in arguments.only}
    sys.exit(report(before, json.loads(json.dumps(found))))


def report(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Print each record that differs; the exit code."""
    wrong = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    for name in wrong:
        print(f"DIFFERS {name}: {first_difference(before.get(name), after.get(name))}")
    print(
        f"{len(before) - len(wrong)} of {len(before)} records are equal"
        if wrong
        else f"{len(before)} records, all equal"
    )
    return 1 if wrong else 0


def first_difference(before: Any, after: Any, place: str = "") -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in [*before, *after] if before.get(key) != after.get(key)]
        return first_difference(before.get(keys[0]), after.get(keys[0]), f"{place}.{keys[0]}")
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        k = next(k for k, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1])
        return first_difference(before[k], after[k], f"{place}[{k}]")
    return f"{place}: {str(before)[:300]} -> {str(after)[:300]}"


def records(only: list[str] | None) -> Iterator[tuple[str, Any]]:
    for config in sorted(CONFIGS.glob("*.yaml")):
        if "BP_MNIST" in config.read_text() or (only and config.stem not in only):
            continue
        for way, patched in WAYS.items():
            if way != "compiled" or has_compiler():
                print(f"{config.stem} {way}", file=sys.stderr)
                yield f"{config.stem} {way}", trained(config, way, patched)
        if config.stem in SHOWN:
            yield from commands(config)


def commands(config: Path) -> Iterator[tuple[str, Any]]:
    for words in COMMANDS:
        yield f"{config.stem} {' '.join(words)}", printed([words[0], str(config), *words[1:], "--json"])
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        backprop_cli.train(config, [f"training.max_steps={STEPS}"], run_dir=run_dir, threads=1)
        checkpoint = run_dir / "checkpoints" / "last.safetensors"
        for words in OF_A_RUN:
            found = printed([words[0], str(checkpoint), *words[1:], "--json"], folder)
            yield f"{config.stem} {' '.join(words)} of a run", found


def trained(config: Path, way: str, patched: dict[str, Any]) -> dict[str, Any]:
    """Digests of the tensors after ``STEPS`` steps, the metrics, and facts about the plans."""
    overrides = [
        f"training.max_steps={STEPS}",
        f"training.compile={str(way == 'compiled').lower()}",
        *SMALLER.get(config.stem, []),
    ]
    with tempfile.TemporaryDirectory() as folder, plans() as made, contextlib.ExitStack() as stack:
        for name, function in patched.items():
            stack.enter_context(mock.patch.object(start_module, name, function))
        result = backprop_cli.train(config, overrides, run_dir=Path(folder) / "run", threads=1)
        tensors = load_file(Path(folder) / "run" / "checkpoints" / "last.safetensors")
        metrics = {name: repr(value) for name, value in sorted(result.metrics.items())}
    facts = [{"calls": plan.calls, "peak": plan.peak_bytes, "bound": plan.lower_bound_bytes} for plan in made]
    if config.stem in PRINTED and way == "numpy":
        facts = [fact | {"program": str(plan.program).splitlines()} for fact, plan in zip(facts, made, strict=True)]
    return {
        "tensors": {name: digest(array) for name, array in sorted(tensors.items())},
        "metrics": metrics,
        "plans": facts,
    }


@contextlib.contextmanager
def plans() -> Iterator[list[Plan]]:
    """Every plan made inside."""
    made: list[Plan] = []
    build = Plan.__init__

    def noted(self: Plan, *arguments: Any, **options: Any) -> None:
        build(self, *arguments, **options)
        made.append(self)

    with mock.patch.object(Plan, "__init__", noted):
        yield made


def digest(array: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(repr(array.dtype).encode() + repr(array.shape).encode() + array.tobytes()).hexdigest()[:16]


def printed(words: list[str], folder: str = "no folder") -> Any:
    """What a command prints as JSON, without its times."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = run(words)
    return {
        "code": code,
        "out": timeless(json.loads(out.getvalue().replace(folder, "").replace(str(CONFIGS.parent), ""))),
    }


def timeless(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: timeless(value) for key, value in found.items() if key not in TIMES and "seconds" not in key}
    return [timeless(item) for item in found] if isinstance(found, list) else found


if __name__ == "__main__":
    main()
