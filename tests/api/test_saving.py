"""Checkpoints that a thread writes: kills inside its writes, its errors and warnings, and the files at the end."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from api_support import assert_same_state, bp, epoch_numbers, last, record, rows, run_of, write_config

from backprop_cli.api.train import train
from backprop_cli.errors import CheckpointError, DivergenceError, InterruptionError
from backprop_cli.run import atomic, save_queue
from backprop_cli.run.checkpoint import load
from backprop_cli.training.events import Epoch, Step, Warned

FOREVER = ["training.epochs=1000000", "training.compile=false"]


def in_thread() -> bool:
    return threading.current_thread() is not threading.main_thread()


def checkpoints(run: Path):
    """All tensors and counters by the name of the file. The configurations in them may differ in their overrides."""
    found = {path.name: load(path) for path in (run / "checkpoints").glob("*.safetensors")}
    return {
        name: ({key: array.tolist() for key, array in content.tensors.items()}, content.metadata["state"])
        for name, content in found.items()
    }


def assert_as_if_undisturbed(run: Path, config: Path) -> None:
    """The killed run goes on for three epochs, and is then the run that was not killed."""
    ends = [f"training.epochs={last(run).metadata['state']['epoch'] + 2}"]
    assert bp("train", "--resume", run, *ends, "--quiet") == 0
    straight, _ = run_of(config, "straight", ends)
    assert_same_state(run, straight)
    assert epoch_numbers(run) == epoch_numbers(straight)
    assert checkpoints(run) == checkpoints(straight)


def start(script: str, *words: object) -> subprocess.Popen:
    """A command in a process that runs ``script`` first."""
    command = [sys.executable, "-c", f"{script}\nimport backprop_cli.cli.app as app\napp.main()", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


KILLED = """
import os, signal, threading
from pathlib import Path
from backprop_cli.run import save_queue

save_queue.SECONDS = 0.01
calls = 0

def counted(real):
    def call(*words, **named):
        global calls
        calls += threading.current_thread() is not threading.main_thread()
        if calls == {number}:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*words, **named)
    return call

os.fsync, os.link, Path.replace, Path.unlink = map(counted, (os.fsync, os.link, Path.replace, Path.unlink))
"""


@pytest.mark.parametrize("number", [1, 3, 11, *(pytest.param(each, marks=pytest.mark.slow) for each in (2, 5, 7, 40))])
def test_a_kill_inside_a_write_of_the_thread_loses_nothing_older(number):
    config = write_config(checkpoint={"keep_best": 2})
    process = start(KILLED.format(number=number), "train", config, "--run-dir", "run", *FOREVER)
    assert process.wait(60) == -signal.SIGKILL
    assert record(Path("run"))["status"] == "running"
    assert_as_if_undisturbed(Path("run"), config)


@pytest.mark.parametrize("seconds", [0.6, pytest.param(0.05, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_loses_little(seconds):
    config, log = write_config(), Path("run/log.txt")
    script = "from backprop_cli.run import save_queue\nsave_queue.SECONDS = 0.2"
    process = start(script, "train", config, "--run-dir", "run", *FOREVER)
    while not (log.exists() and "epoch 2/" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(seconds)
    process.kill()
    process.wait(60)
    step = last(Path("run")).metadata["state"]["step"]
    ended = {row["step"]: row["seconds"] for row in rows(Path("run"), "epoch")}
    assert ended[max(ended)] - ended[step] <= 0.2 + 2.0  # two seconds for a busy machine
    assert_as_if_undisturbed(Path("run"), config)


HANGING = """
import os, threading, time
from backprop_cli.run import save_queue
from backprop_cli.session import signals

save_queue.SECONDS, signals.PATIENCE = 0.01, 0.2
real = os.fsync

def fsync(descriptor):
    if threading.current_thread() is not threading.main_thread():
        open("hangs", "w").close()
        time.sleep(1000)
    real(descriptor)

os.fsync = fsync
"""


def test_a_disk_that_hangs_does_not_keep_the_second_signal_from_ending_the_run():
    config = write_config()
    process = start(HANGING, "train", config, "--run-dir", "run", *FOREVER)
    while not Path("hangs").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None  # it waits for what is being written
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert record(Path("run"))["reason"].endswith(
        "before everything was saved; resume from the last checkpoint with: bp train --resume run"
    )
    assert_as_if_undisturbed(Path("run"), config)


def test_few_files_are_synced_in_a_short_run(monkeypatch):
    """The first checkpoint at once, and at the end the last three and the best one."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor, real=os.fsync: synced.append(1) or real(descriptor))
    monkeypatch.setattr(os, "fdatasync", lambda descriptor, real=os.fdatasync: synced.append(1) or real(descriptor))
    run_of(write_config(training={"epochs": 40}), "run")
    assert len(synced) <= 22


def test_a_disk_that_fills_up_ends_the_run_soon(monkeypatch, capsys):
    def fsync(descriptor, real=os.fsync):
        if in_thread():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor)

    config = write_config()
    with monkeypatch.context() as full:
        full.setattr(save_queue, "SECONDS", 0.05)
        full.setattr(atomic.os, "fsync", fsync)
        assert bp("train", config, "--run-dir", "run", *FOREVER) == 5
    assert capsys.readouterr().err.splitlines()[-1] == (
        "run/checkpoints/last.safetensors: the checkpoint cannot be written: No space left on device; "
        "make room or free the directory, then resume with: bp train --resume run"
    )
    assert (record(Path("run"))["status"], record(Path("run"))["exit_code"]) == ("failed", 5)
    assert last(Path("run")).metadata["state"]["epoch"] == 2
    assert not [path for path in Path("run").rglob("*") if path.name.endswith(".tmp")]
    assert_as_if_undisturbed(Path("run"), config)


def test_a_full_disk_is_also_told_when_a_signal_ends_the_run(monkeypatch):
    def full_disk(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def listen(event):
        if isinstance(event, Epoch) and event.epoch == 3:
            full.setattr(atomic.os, "fsync", full_disk)
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as full, pytest.raises(CheckpointError, match="No space left on device"):
        train(write_config(training={"epochs": 9}), run_dir=Path("run"), on_event=listen)
    assert last(Path("run")).metadata["state"]["epoch"] == 2


def test_a_warning_of_the_thread_reaches_the_listener_in_the_main_thread(monkeypatch):
    stubborn, told = Path("run/checkpoints/step-00000004.safetensors"), []

    def unlink(path, missing_ok=False, real=Path.unlink):
        if path == stubborn:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return real(path, missing_ok)

    def listen(event):
        assert not in_thread()
        if isinstance(event, Warned):
            told.append(event.message)

    monkeypatch.setattr(save_queue, "SECONDS", 0.0)
    monkeypatch.setattr(Path, "unlink", unlink)
    run, _ = run_of(write_config(training={"epochs": 30}), "run", on_event=listen)
    assert told[0] == f"{stubborn}: cannot be removed: Operation not permitted; the run continues"
    assert f"warning: {told[0]}" in (run / "log.txt").read_text()


ENDS = {"divergence": DivergenceError, "signal": InterruptionError, "bug": ZeroDivisionError}


@pytest.mark.parametrize("end", ENDS)
def test_everything_that_waits_is_written_when_the_run_ends(end):
    """The files are those of a run that ended there by itself."""
    config = write_config(training={"epochs": 8}, log={"every_steps": 1})
    straight, _ = run_of(config, "straight", ["training.epochs=5"])

    def listen(event):
        if isinstance(event, Epoch) and event.epoch == 5 and end == "signal":
            os.kill(os.getpid(), signal.SIGINT)
        if isinstance(event, Step) and event.step == 22:
            raise ENDS[end]("as if it were one")

    with pytest.raises(ENDS[end]):
        train(config, run_dir=Path("run"), on_event=listen)
    assert checkpoints(Path("run")) == checkpoints(straight)
