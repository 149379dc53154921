"""Ctrl-C, SIGTERM and SIGHUP: noted once, further ones obeyed only when saving takes too long, handlers put back."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from api_support import EVERY_STEP, bp, last, record, start_bp, write_config

from backprop_cli.api.train import train
from backprop_cli.errors import InterruptionError
from backprop_cli.run.checkpointer import Checkpointer
from backprop_cli.session import signals
from backprop_cli.session.signals import ImmediateStop, stop_requests
from backprop_cli.training.events import Saved, Step, Stopped

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_first_is_noted_and_hasty_ones_change_nothing(number):
    before = [signal.getsignal(n) for n in NUMBERS]
    with stop_requests() as asked:
        assert asked.number is None
        send(number)
        assert asked.number == number
        for other in NUMBERS:
            send(other)
        assert asked.number == number
    assert [signal.getsignal(n) for n in NUMBERS] == before


@pytest.mark.parametrize("number", NUMBERS)
def test_a_later_one_ends_at_once(number, monkeypatch):
    before = [signal.getsignal(n) for n in NUMBERS]
    now = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    with pytest.raises(ImmediateStop) as caught, stop_requests():
        send(signal.SIGINT)
        now[0] += 4.9
        send(number)
        now[0] += 0.2
        send(number)
    assert caught.value.number == number
    assert [signal.getsignal(n) for n in NUMBERS] == before


def test_what_is_ignored_stays_ignored():
    """nohup, and a script's jobs in the background."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requests() as asked:
            send(signal.SIGHUP)
            assert asked.number is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_gets_no_signals():
    found = []

    def work():
        with stop_requests() as asked:
            found.append(asked.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None]


@pytest.mark.parametrize("second", [Saved, Stopped])
def test_two_in_quick_succession_lose_neither_state_nor_message(second, capsys):
    def listen(event):
        if (isinstance(event, Step) and event.step == 6) or isinstance(event, second):
            send(signal.SIGINT)

    with pytest.raises(InterruptionError) as caught:
        config = write_config(checkpoint={"every_epochs": None, "keep_best": 0}, log=EVERY_STEP)
        train(config, run_dir=Path("run"), on_event=listen)
    assert str(caught.value) == "interrupted at step 6; everything is saved; resume with: bp train --resume run"
    assert caught.value.exit_code == 130
    assert last(Path("run")).metadata["state"]["step"] == 6
    assert (record(Path("run"))["status"], record(Path("run"))["exit_code"]) == ("interrupted", 130)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_saving_that_takes_too_long_is_ended(number, code, monkeypatch):
    """The code is that of the signal that ended it; the last checkpoint before is still there."""
    now = [100.0]

    def slow(self):
        now[0] += 60
        send(number)

    def listen(event):
        if isinstance(event, Step) and event.step == 6:
            send(signal.SIGINT)

    with monkeypatch.context() as patched, pytest.raises(InterruptionError) as caught:
        patched.setattr(signals.time, "monotonic", lambda: now[0])
        patched.setattr(Checkpointer, "flush", slow)
        train(write_config(log=EVERY_STEP), run_dir=Path("run"), on_event=listen)
    assert caught.value.exit_code == code
    assert str(caught.value) == (
        "ended at once at step 6, before everything was saved; "
        "resume from the last checkpoint with: bp train --resume run"
    )
    assert (record(Path("run"))["status"], record(Path("run"))["exit_code"]) == ("interrupted", code)
    assert last(Path("run")).metadata["state"]["step"] == 4
    assert train(resume=Path("run")).steps == 12


def test_a_lost_terminal():
    config = write_config()
    process = start_bp("train", config, "--run-dir", "run", "--json", "training.epochs=1000000")
    assert process.stderr is not None
    for _ in range(3):
        process.stderr.readline()
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 129
    assert json.loads(out)["status"] == "interrupted"
    epoch = last(Path("run")).metadata["state"]["epoch"] + 1
    assert bp("train", "--resume", "run", f"training.epochs={epoch}", "--quiet") == 0
