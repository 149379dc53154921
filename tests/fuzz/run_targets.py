"""What ``bp`` reads of a run: checkpoints, their metadata, run.json, the journal, the resolved configuration."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import Target

from backprop_cli.api.eval import evaluate
from backprop_cli.api.jacobian import jacobian
from backprop_cli.api.predict import predict
from backprop_cli.api.show import show
from backprop_cli.api.train import train
from backprop_cli.run.checkpoint import Checkpoint, load, save
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.journal import lost_epochs, read_journal, write_table
from backprop_cli.session.resumption import open_run
from backprop_cli.session.start import start
from backprop_cli.stopwatch import Stopwatch

_DATA = "data: {source: data.csv, target: kind}"
_CONFIG = """{data}
model: {{layers: [{{type: dense, units: 4}}, {{type: dense, units: 3}}]}}
loss: {{type: cross_entropy, class_weight: balanced}}
metrics: [accuracy]
schedule: {{type: plateau, monitor: train/loss}}
early_stopping: {{patience: 9}}
training: {{epochs: 2, batch_size: 12, threads: 1, max_steps: 5}}
checkpoint: {{every_steps: 1}}
log: {{every_steps: 1}}
"""


def _run(folder: Path) -> RunDirectory:
    """A run that was stopped in the middle of its second epoch; made once in each folder."""
    run = RunDirectory(folder / "run")
    if not run.path.exists():
        rng = random.Random(0)
        kinds = ["a", "b", "c"] * 20
        rows = [f"{rng.gauss(0, 1):.4f},{rng.choice(['red', 'blue'])},{kind}" for kind in kinds]
        (folder / "data.csv").write_text("\n".join(["x,colour,kind", *rows]) + "\n")
        (folder / "c.yaml").write_text(_CONFIG.format(data=_DATA))
        train(folder / "c.yaml", run_dir=run.path)
        # Readers are given copies, and the run itself stays.
        shutil.copytree(run.path, folder / "whole")
    return run


def _file_of(name: str) -> Callable[[Path], list[bytes]]:
    return lambda folder: [(_run(folder).path / name).read_bytes()]


def _put(path: Path, name: str) -> RunDirectory:
    """The run with the file at ``path`` in the place of its own."""
    run = RunDirectory(path.parent / "run")
    shutil.copyfile(path, run.path / name)
    return run


def _read_checkpoint(path: Path) -> None:
    """Read it as commands do; most of them need it whole."""
    _read_network(path)
    run = RunDirectory(path.parent / "run")
    show(run.last)
    evaluate(run.last)
    jacobian(run.last, path.parent / "data.csv", rows=["3"])


def _read_network(path: Path) -> None:
    """What ``train --resume`` and ``predict`` read."""
    run = _put(path, "checkpoints/last.safetensors")
    resumed = open_run(run, run.last)
    with suppress(MemoryError):  # of a network too large, which the command line answers to
        start(resumed.loaded, resumed, None, Stopwatch())
        predict(run.last, path.parent / "data.csv", path.parent / "predictions.csv")


def _read_metadata(path: Path) -> None:
    """A checkpoint whose checksum fits, with the metadata that is in the file.

    Damaged bytes are seldom JSON. Where they are not, they say what is changed in the metadata instead.
    """
    data = path.read_bytes()
    whole = load(path.parent / "whole" / "checkpoints" / "last.safetensors")
    metadata = json.loads(json.dumps(whole.metadata))
    try:
        found = json.loads(data)
        metadata = found if isinstance(found, dict) else {}
    except (ValueError, RecursionError):
        _change(metadata, random.Random(data))
    try:
        save(path, Checkpoint(whole.tensors, metadata))
    except (ValueError, TypeError, OverflowError):  # no checkpoint can hold it
        return
    _read_network(path)


_VALUES = (None, True, -1, 0, 7, 2**70, 1.5, 1e300, float("nan"), "", "x", "none", [], [1], ["a"], {}, {"a": 1}, [[]])


def _change(tree: Any, rng: random.Random) -> None:
    """Replace, remove or repeat something somewhere in a tree of mappings and lists that is not empty."""
    places = list(tree) if isinstance(tree, dict) else range(len(tree))
    place = rng.choice(places)
    inner = tree[place]
    if isinstance(inner, dict | list) and inner and rng.random() < 0.8:
        _change(inner, rng)
    elif rng.random() < 0.2:
        del tree[place]
    elif isinstance(tree, list) and rng.random() < 0.2:
        tree.insert(place, inner)
    else:
        tree[place] = rng.choice(_VALUES)


def _metadata(folder: Path) -> list[bytes]:
    return [json.dumps(load(_run(folder).last).metadata, indent=1).encode()]


def _read_record(path: Path) -> None:
    run = _put(path, "run.json")
    show(run.path)
    resumed = open_run(run, run.last)
    start(resumed.loaded, resumed, None, Stopwatch())


def _read_journal(path: Path) -> None:
    run = _put(path, "metrics.jsonl")
    rows = read_journal(run.journal)
    lost_epochs(run.journal, rows, 3)
    write_table(run.journal, run.table)
    open_run(run, run.last)


def _read_resolved(path: Path) -> None:
    """Of a run that saved no checkpoint."""
    run = _put(path, "config.resolved.yaml")
    shutil.rmtree(run.checkpoints)
    try:
        with suppress(MemoryError):  # of a network too large, which the command line answers to
            show(run.path)
    finally:
        shutil.copytree(path.parent / "whole" / "checkpoints", run.checkpoints)


TARGETS = [
    Target("checkpoint", ".safetensors", _file_of("checkpoints/last.safetensors"), _read_checkpoint),
    Target("checkpoint_metadata", ".json", _metadata, _read_metadata),
    Target("run_record", ".json", _file_of("run.json"), _read_record),
    Target("journal", ".jsonl", _file_of("metrics.jsonl"), _read_journal),
    Target("resolved_configuration", ".yaml", _file_of("config.resolved.yaml"), _read_resolved),
]
