"""What the tests of jobs share: small data and configurations, runs in process, and what a run left behind."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from backprop_cli.api.train import TrainResult, train
from backprop_cli.cli import app
from backprop_cli.run.checkpoint import load
from backprop_cli.run.journal import read_journal
from backprop_cli.training.events import Event, Step, Warned

LAYERS = [{"type": "dense", "units": 6, "activation": "tanh"}, {"type": "dense", "units": 3}]
EVERY_STEP = {"every_steps": 1}
"""The section ``log`` that makes every update an event, so that a listener can act on it."""
WITH_DROPOUT = [LAYERS[0], {"type": "dropout", "rate": 0.3}, LAYERS[1]]


def write_flowers(path: Path = Path("flowers.csv"), rows: int = 60, seed: int = 0) -> Path:
    """Three classes that can be told apart: a, b, c; columns x, y, kind."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, rows)
    points = rng.standard_normal((rows, 2)) + 1.5 * kinds[:, None]
    lines = [f"{x:.6f},{y:.6f},{'abc'[kind]}" for (x, y), kind in zip(points, kinds, strict=True)]
    path.write_text("\n".join(["x,y,kind", *lines]) + "\n")
    return path


def merged(tree: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """``tree`` with ``more`` in it; mappings are merged, all else replaced."""
    found = dict(tree)
    for key, value in more.items():
        inner = found.get(key)
        found[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found


def write_config(path: Path = Path("flowers.yaml"), **more: Any) -> Path:
    """A network for the flowers; ``more`` are sections. 42 examples to train on, in 4 batches; 9 and 9 held out."""
    tree = {
        "data": {"source": "flowers.csv", "target": "kind"},
        "model": {"layers": LAYERS},
        "loss": "cross_entropy",
        "optimizer": {"type": "adam", "learning_rate": 0.01},
        "training": {"epochs": 3, "batch_size": 12},
    }
    if not Path("flowers.csv").exists():
        write_flowers()
    path.write_text(yaml.safe_dump(merged(tree, more), sort_keys=False))
    return path


def bp(*words: object) -> int:
    """A command line, in this process; its exit code."""
    return app.run([str(word) for word in words])


def rows(run: Path, event: str | None = None) -> list[dict[str, Any]]:
    """The journal's rows that count."""
    return [row for row in read_journal(run / "metrics.jsonl") if event in (None, row["event"])]


def epoch_numbers(run: Path) -> list[dict[str, Any]]:
    """Epochs without what depends on the clock."""
    timed = ("seconds", "examples_per_second")
    return [{key: value for key, value in row.items() if key not in timed} for row in rows(run, "epoch")]


def table(run: Path) -> list[dict[str, str]]:
    """Rows of metrics.csv."""
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def record(run: Path) -> dict[str, Any]:
    """What run.json says."""
    return json.loads((run / "run.json").read_text())


def last(run: Path):
    return load(run / "checkpoints" / "last.safetensors")


def assert_same_state(run: Path, other: Path) -> None:
    """Parameters, slots and all counters, bit for bit."""
    found, expected = last(run), last(other)
    assert set(found.tensors) == set(expected.tensors)
    for name, array in expected.tensors.items():
        assert found.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(found.tensors[name], array, err_msg=name)
    assert found.metadata["state"] == expected.metadata["state"]


def stop_at(step: int, number: int = signal.SIGINT):
    """A listener that sends this process a signal when the step is done."""

    def listen(event: Event) -> None:
        if isinstance(event, Step) and event.step == step:
            os.kill(os.getpid(), number)

    return listen


def run_of(config: Path, name: str, overrides: Sequence[str] = (), **options: Any) -> tuple[Path, TrainResult]:
    result = train(config, overrides, run_dir=Path(name), **options)
    assert result.run_dir == Path(name)
    return Path(name), result


_TRAINED: dict[tuple[object, ...], tuple[Path, TrainResult, dict[Path, bytes]]] = {}


def _contents(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def known_run(config: Path, name: str, overrides: Sequence[str] = ()) -> tuple[Path, TrainResult]:
    """``run_of``, trained once for all tests with the same files: the later ones work in the folder of the first.

    A run knows the absolute path of its data. The folder is emptied and filled again for each of the tests.
    """
    key = (config, name, *overrides, *_contents(Path()).items())
    if key not in _TRAINED:
        _, result = run_of(config, name, overrides)
        _TRAINED[key] = Path.cwd(), result, _contents(Path())
    folder, result, contents = _TRAINED[key]
    shutil.rmtree(folder)
    for file, content in contents.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    os.chdir(folder)
    return Path(name), result


def resumed(run: Path, *overrides: str, **options: Any) -> tuple[TrainResult, list[str]]:
    """Go on with a run: the result, and what was warned of."""
    told: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Warned):
            told.append(event.message)

    return train(None, overrides, resume=run, on_event=listen, **options), told


def start_bp(*words: object) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from backprop_cli.cli.app import main; main()", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
