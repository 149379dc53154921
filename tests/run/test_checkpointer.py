"""The checkpoints of a run, whatever comes between two of their names."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from backprop_cli.errors import BpWarning
from backprop_cli.run.checkpoint import Checkpoint
from backprop_cli.run.checkpointer import Checkpointer, step_of
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.settings import CheckpointSettings
from backprop_cli.training.events import Epoch

SETTINGS = CheckpointSettings(keep_best=3, keep_last=1)
EPOCHS = 5


class KilledError(BaseException):
    """The process ends here."""


def train(run, first=1, improved=range(EPOCHS + 1)):
    """Epochs of one step each, from ``first`` on; those in ``improved`` are better than before."""
    step = 0

    def content():
        return Checkpoint({"a": np.full(3, step)}, {"state": {"step": step}})

    checkpointer = Checkpointer(run, SETTINGS, content, first - 1)
    checkpointer.find_best(max((epoch for epoch in improved if 0 < epoch < first), default=None))
    for step in range(first, EPOCHS + 1):
        list(checkpointer.read(Epoch(step, step, 0.0, {}, improved=step in improved)))


def steps(run):
    return {path.name.removesuffix(".safetensors"): step_of(path) for path in run.checkpoints.iterdir()}


def killed_at(monkeypatch, number):
    """Let the process end before rename or link ``number``."""
    calls = []

    def counted(real):
        def call(*words):
            calls.append(words)
            if len(calls) == number:
                raise KilledError
            return real(*words)

        return call

    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(os, "link", counted(os.link))


@pytest.mark.parametrize("improved", [range(EPOCHS + 1), (1, 2, 4), (2, 3, 4)])
def test_a_kill_between_two_names_loses_nothing(tmp_path, improved):
    whole = RunDirectory.create_at(tmp_path / "whole")
    train(whole, improved=improved)
    expected = steps(whole)
    best = [step for step in improved if step][:-4:-1]
    assert [expected[name] for name in ("best", "best-2", "best-3")] == best
    for number in range(1, 100):
        run = RunDirectory.create_at(tmp_path / f"killed-{number}")
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, number)
            try:
                train(run, improved=improved)
            except KilledError:
                pass
            else:
                break
        train(run, first=(step_of(run.last) or 0) + 1 if run.last.exists() else 1, improved=improved)
        found = steps(run)
        assert {name: found[name] for name in expected} == expected, number
    assert number > 20


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
    step = EPOCHS

    def content():
        return Checkpoint({"a": np.full(3, step)}, {"state": {"step": step}})

    checkpointer = Checkpointer(run, SETTINGS, content, step)
    for step in (6, 7, 8):
        with pytest.warns(BpWarning, match=r"last.safetensors: cannot be replaced: Operation not permitted; the"):
            saved = list(checkpointer.read(Epoch(step, step, 0.0, {}, improved=True)))
        assert saved[0].path == str(run.at_step(step))
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
