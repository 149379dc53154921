"""Which checkpoints are kept, and that every name is a whole checkpoint at any moment."""

import errno
import math
import os

import numpy as np
import pytest

from backprop_cli.errors import CheckpointError
from backprop_cli.run.checkpoint import Checkpoint, load
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.settings import CheckpointSettings
from backprop_cli.run.store import CheckpointStore


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create_at(tmp_path / "run")


def checkpoint(step):
    return Checkpoint({"w": np.full(3, float(step))}, {"step": step})


def names(run):
    return sorted(path.name for path in run.checkpoints.iterdir())


def step_of(path):
    return load(path).metadata["step"]


def fill(store, values, every=10):
    return [store.save(checkpoint(step * every), step * every, value) for step, value in enumerate(values, start=1)]


def test_defaults_keep_last_best_and_two_numbers(run):
    store = CheckpointStore(run, CheckpointSettings())
    saved = fill(store, [3.0, 1.0, 2.0, 2.5, 2.5])
    assert [[event.kind for event in events] for events in saved] == [
        ["last", "best", "step"],
        ["last", "best", "step"],
        ["last", "step"],
        ["last", "step"],
        ["last", "step"],
    ]
    assert saved[1][1].path == str(run.best)
    assert names(run) == [
        "best.safetensors",
        "last.safetensors",
        "step-00000020.safetensors",
        "step-00000040.safetensors",
        "step-00000050.safetensors",
    ]
    assert (step_of(run.best), step_of(run.last)) == (20, 50)
    assert store.best == (20, 1.0)


def test_max_is_better_and_the_earlier_of_equals_stays(run):
    store = CheckpointStore(run, CheckpointSettings(), "max")
    fill(store, [0.5, 0.75, 0.75, math.nan, None, math.inf])
    assert step_of(run.best) == 60
    store = CheckpointStore(run, CheckpointSettings(), "max")
    fill(store, [0.75, 0.75])
    assert store.best == (10, 0.75)


def test_nan_and_unmeasured_are_never_best(run):
    store = CheckpointStore(run, CheckpointSettings())
    fill(store, [math.nan, None])
    assert store.best is None
    assert not run.best.exists()
    assert step_of(run.last) == 20


def test_keep_best_several_and_none(run):
    store = CheckpointStore(run, CheckpointSettings(keep_best=2, keep_last=1))
    fill(store, [3.0, 1.0, 2.0, 4.0])
    assert names(run)[2:] == [f"step-000000{n}.safetensors" for n in (20, 30, 40)]
    store = CheckpointStore(run, CheckpointSettings(keep_best=0, keep_last=0))
    fill(store, [1.0])
    assert store.best is None


def test_keep_nothing_numbered(run):
    fill(CheckpointStore(run, CheckpointSettings(keep_best=0, keep_last=0)), [1.0, 2.0])
    assert names(run) == ["last.safetensors"]
    assert step_of(run.last) == 20


def test_scores_go_on_in_a_resumed_run(run):
    first = CheckpointStore(run, CheckpointSettings())
    fill(first, [1.0, 2.0])
    second = CheckpointStore(run, CheckpointSettings(), scores=first.scores)
    assert not second.is_best(1.5)
    second.save(checkpoint(30), 30, 1.5)
    assert step_of(run.best) == 10


def test_forget_after(run):
    store = CheckpointStore(run, CheckpointSettings(keep_last=5))
    fill(store, [3.0, 2.0, 1.0])
    store.forget_after(20)
    assert names(run)[2:] == ["step-00000010.safetensors", "step-00000020.safetensors"]
    assert store.scores == {}  # only the best step's value was kept, and it is gone


def test_saving_a_step_again_replaces_it(run):
    store = CheckpointStore(run, CheckpointSettings())
    store.save(checkpoint(10), 10, 1.0)
    store.save(Checkpoint({"w": np.zeros(3)}, {"step": 10, "again": True}), 10)
    assert load(run.last).metadata == {"step": 10, "again": True}


def test_without_hard_links_it_copies(run, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    fill(CheckpointStore(run, CheckpointSettings(keep_last=0)), [1.0, 2.0])
    assert (step_of(run.best), step_of(run.last)) == (10, 20)
    assert names(run) == ["best.safetensors", "last.safetensors", "step-00000010.safetensors"]


def test_one_copy_on_disk(run):
    CheckpointStore(run, CheckpointSettings()).save(checkpoint(10), 10, 1.0)
    assert run.best.samefile(run.last)
    assert run.best.samefile(run.at_step(10))


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_full_disk_keeps_every_name(run, monkeypatch, failing):
    store = CheckpointStore(run, CheckpointSettings())
    store.save(checkpoint(10), 10, 1.0)
    before = names(run)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (type(run.path), "replace")), full)
    with pytest.raises(CheckpointError):
        store.save(checkpoint(20), 20, 0.5)
    monkeypatch.undo()
    assert names(run) == before
    assert step_of(run.best) == step_of(run.last) == 10
    assert store.best == (10, 1.0)
