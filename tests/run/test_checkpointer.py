"""The checkpoints of a run, whatever comes between two of their names."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.errors import BpWarning
from backprop_cli.run.checkpoint import Checkpoint, load
from backprop_cli.run.checkpointer import Checkpointer, step_of
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.settings import CheckpointSettings
from backprop_cli.training.events import Epoch
from backprop_cli.training.state import State

SETTINGS = CheckpointSettings(keep_best=3, keep_last=1)
EPOCHS = 5
EACH, AT_THE_END = range(EPOCHS + 1), ()
"""Epochs after which everything is written at once, in addition to the first and the last."""


@pytest.fixture(autouse=True)
def _no_syncs(monkeypatch):
    """A kill loses nothing that the system has, and syncs take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class KilledError(BaseException):
    """The process ends here."""


def content(state):
    return Checkpoint({"a": state.parameters}, {"state": {"step": state.step}})


def train(run, first=1, improved=range(EPOCHS + 1), flushed=EACH, settings=SETTINGS, last=EPOCHS):
    """Epochs of one step each, from ``first`` on; those in ``improved`` are better than before.

    Returns whether the best of the epochs before ``first`` was found.
    """
    state = State({"parameters": np.zeros(3)}, np.random.default_rng(0), step=first - 1)
    checkpointer = Checkpointer(run, settings, state, content)
    best = max((epoch for epoch in improved if 0 < epoch < first), default=None)
    has_best = checkpointer.find_best(best)
    for epoch in range(first, last + 1):
        state.step = epoch
        state.parameters.fill(epoch)
        event = Epoch(epoch, epoch, 0.0, {}, improved=epoch in improved)
        if checkpointer.is_due(event):
            checkpointer.save(event)
        if epoch in flushed:
            checkpointer.flush()
    checkpointer.flush()
    return has_best


def steps(run):
    return {path.name.removesuffix(".safetensors"): step_of(path) for path in run.checkpoints.iterdir()}


def killed_at(monkeypatch, number):
    """Let the process end before rename, link or removal of a name ``number``."""
    calls = []

    def counted(real):
        def call(*words, **options):
            if not (options and words[0].name.startswith(".")):  # a temporary name is not missed
                calls.append(words)
                if len(calls) == number:
                    raise KilledError
            return real(*words, **options)

        return call

    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))
    monkeypatch.setattr(os, "link", counted(os.link))


@given(
    keep_last=st.integers(0, 3),
    keep_best=st.integers(0, 3),
    every_epochs=st.sampled_from([None, 1, 3]),
    improved=st.sets(st.integers(1, 12)),
    flushed=st.sets(st.integers(1, 12)),
)
def test_the_files_do_not_tell_when_they_were_written(tmp_path_factory, keep_last, keep_best, every_epochs, **epochs):
    run = RunDirectory.create_at(tmp_path_factory.mktemp("run"))
    settings = CheckpointSettings(keep_last=keep_last, keep_best=keep_best, every_epochs=every_epochs)
    train(run, settings=settings, last=12, **epochs)
    best = sorted(epochs["improved"], reverse=True)[:keep_best]
    due = [epoch for epoch in range(1, 13) if every_epochs and epoch % every_epochs == 0]
    *numbered, last = sorted({*due, *(epochs["improved"] if keep_best else ())}) or [None]
    numbered = numbered[-keep_last:] if keep_last else []
    expected = {
        **({"last": last} if last else {}),
        **{f"step-{step:08d}": step for step in numbered},
        **{f"best-{place}" if place > 1 else "best": step for place, step in enumerate(best, start=1)},
    }
    assert steps(run) == expected
    for path in run.checkpoints.iterdir():
        assert load(path).tensors["a"][0] == step_of(path)


@pytest.mark.parametrize("flushed", [EACH, AT_THE_END, (3,)])
@pytest.mark.parametrize("improved", [range(EPOCHS + 1), (1, 2, 4), (2, 3, 4), (1, 2, 5)])
@pytest.mark.parametrize("keep_best", [1, 3])
def test_a_kill_between_two_names_loses_nothing(tmp_path, improved, flushed, keep_best):
    whole, settings = RunDirectory.create_at(tmp_path / "whole"), CheckpointSettings(keep_best=keep_best, keep_last=1)
    how = {"improved": improved, "settings": settings}
    train(whole, flushed=flushed, **how)
    expected = steps(whole)
    best = [step for step in improved if step][:-4:-1]
    assert [expected[name] for name in ("best", "best-2", "best-3")[:keep_best]] == best[:keep_best]
    for number in range(1, 100):
        run = RunDirectory.create_at(tmp_path / f"killed-{number}")
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, number)
            try:
                train(run, flushed=flushed, **how)
            except KilledError:
                pass
            else:
                break
        assert train(run, first=(step_of(run.last) or 0) + 1 if run.last.exists() else 1, **how), number
        found = steps(run)
        assert {name: found[name] for name in expected} == expected, number
    assert number > 6


@pytest.mark.parametrize("keep_best", [1, 2, 3])
def test_a_kill_leaves_as_many_of_the_best_as_there_were(tmp_path, keep_best):
    settings = CheckpointSettings(keep_best=keep_best, keep_last=1)
    counts = []
    for number in range(1, 100):
        run = RunDirectory.create_at(tmp_path / f"killed-{number}")
        train(run, settings=settings, last=3)
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, number)
            try:
                train(run, first=4, settings=settings)
            except KilledError:
                pass
            else:
                break
        best = [step for name, step in steps(run).items() if name.startswith("best")]
        counts.append(len(set(best)))
        train(run, first=step_of(run.last) + 1, settings=settings)
        names = ["best", "best-2", "best-3"][:keep_best]
        assert {name: step for name, step in steps(run).items() if name.startswith("best")} == dict(
            zip(names, (5, 4, 3), strict=False)
        )
    assert min(counts) == keep_best
    assert number > 10


def test_a_best_that_is_damaged_is_not_kept(tmp_path):
    run = RunDirectory.create_at(tmp_path / "run")
    train(run)
    run.best.unlink()  # the last one is the same file
    run.best.write_bytes(b"")
    train(run, first=EPOCHS + 1)
    assert [steps(run)[name] for name in ("best", "best-2", "best-3")] == [5, 4, 3]


def refusing(names):
    def refuse(real):
        def call(path, *words, **options):
            if path.name in names or any(Path(word).name in names for word in words):
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            return real(path, *words, **options)

        return call

    return refuse


def test_an_old_one_that_cannot_be_removed_is_a_warning(tmp_path, monkeypatch):
    run = RunDirectory.create_at(tmp_path / "run")
    old = run.at_step(1)
    monkeypatch.setattr(Path, "unlink", refusing({old.name})(Path.unlink))
    with pytest.warns(BpWarning) as caught:
        train(run)
    assert {str(each.message) for each in caught} == {
        f"{old}: cannot be removed: Operation not permitted; the run continues"
    }
    assert steps(run) == {"last": 5, "step-00000001": 1, "step-00000004": 4, "best": 5, "best-2": 4, "best-3": 3}


def test_a_last_one_that_cannot_be_replaced_is_a_warning(tmp_path, monkeypatch):
    """The newest is the one of its step then, and the best is a second name of that."""
    run = RunDirectory.create_at(tmp_path / "run")
    train(run, first=EPOCHS)
    monkeypatch.setattr(Path, "replace", refusing({run.last.name})(Path.replace))
    with pytest.warns(BpWarning) as caught:
        train(run, first=6, last=8, improved=range(9))
    told = [str(each.message) for each in caught]
    assert [text.split(";")[1] for text in told if "last.safetensors: cannot be replaced: Operation not" in text] == [
        f" the new checkpoint is {run.at_step(step)}" for step in (6, 7, 8)
    ]
    assert steps(run) == {"last": 5, "step-00000007": 7, "step-00000008": 8, "best": 8, "best-2": 7, "best-3": 6}


def test_a_best_one_that_cannot_be_renamed_is_a_warning(tmp_path, monkeypatch):
    run = RunDirectory.create_at(tmp_path / "run")
    monkeypatch.setattr(Path, "replace", refusing({"best-2.safetensors"})(Path.replace))
    with pytest.warns(BpWarning) as caught:
        train(run)
    assert {str(each.message) for each in caught} == {
        f"{run.best}: cannot be renamed to best-2.safetensors: Operation not permitted; the run continues"
    }
    assert steps(run) == {"last": 5, "step-00000004": 4, "best": 5}
