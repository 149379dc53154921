"""One process at a time; a lock never outlives the process that holds it."""

import errno
import json
import os
import platform
import subprocess
import sys

import pytest

from backprop_cli.errors import CheckpointError, UsageError
from backprop_cli.run import lock as module
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.lock import is_locked, locked, refuse_locked

HOLD = """
import sys, time
from pathlib import Path
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.lock import locked
with locked(RunDirectory(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def run(tmp_path):
    return RunDirectory.create_at(tmp_path / "run")


@pytest.fixture
def other(run):
    """A process that holds the lock of ``run``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def refusal(run) -> str:
    with pytest.raises(UsageError) as caught, locked(run):
        pass
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError) as asked:
        refuse_locked(run)
    assert str(asked.value) == str(caught.value)
    return str(caught.value)


def test_the_second_process_is_refused(run, other):
    told = json.loads(run.lock.read_text())
    assert (told["process"], told["host"]) == (other.pid, platform.node())
    assert is_locked(run)
    assert refusal(run) == (
        f"{run.path}: is being trained by process {other.pid} (on {platform.node()}, since {told['since']}); "
        "wait until it ends, or end it first"
    )


def test_a_killed_process_holds_nothing(run, other):
    other.kill()
    other.wait()
    assert run.lock.exists()
    assert is_locked(run) is False
    refuse_locked(run)
    with locked(run):
        assert json.loads(run.lock.read_text())["process"] == os.getpid()
    assert not run.lock.exists()


def test_in_one_process_too(run):
    with locked(run):
        assert refusal(run).startswith(f"{run.path}: is being trained by process {os.getpid()} (")
    with locked(run):
        pass
    assert is_locked(run) is False


@pytest.mark.parametrize("content", ["", "{}", "[1]", "{"])
def test_a_process_that_has_not_said_who_it_is(run, content):
    with locked(run):
        run.lock.write_text(content)
        assert refusal(run) == f"{run.path}: is being trained by another process; wait until it ends, or end it first"


def test_a_lock_that_was_taken_away_meanwhile_is_none(run, monkeypatch):
    """The process before removed its file between our opening and our locking it."""
    real, opened = os.open, []

    def open_and_lose(path, *args):
        opened.append(path)
        descriptor = real(path, *args)
        if len(opened) == 1:
            run.lock.unlink()
        return descriptor

    monkeypatch.setattr(module.os, "open", open_and_lose)
    with locked(run):
        assert len(opened) == 2
        assert is_locked(run)


def test_a_file_system_without_locks(run, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    with locked(run):
        assert is_locked(run) is None
        refuse_locked(run)


def test_a_system_without_locks(run, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    with locked(run):
        assert is_locked(run) is None
        assert not run.lock.exists()


def test_a_directory_that_is_gone(tmp_path):
    run = RunDirectory(tmp_path / "gone")
    with pytest.raises(CheckpointError) as caught, locked(run):
        pass
    assert str(caught.value) == (
        f"{tmp_path}/gone/.lock: cannot be written: No such file or directory; "
        "nothing of the run is saved yet: make room or free the directory, then start again"
    )


def test_a_link_in_the_place_of_the_lock(run, tmp_path):
    (tmp_path / "victim").write_text("precious")
    run.lock.symlink_to(tmp_path / "victim")
    with (
        pytest.raises(CheckpointError, match=r"\.lock: cannot be written: it is a link, which is not followed;"),
        locked(run),
    ):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_link_in_the_place_of_the_checkpoints(run, tmp_path):
    run.checkpoints.rename(tmp_path / "elsewhere")
    run.checkpoints.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="checkpoints: is a link"), locked(run):
        pass
