"""What a run shows: lines, quiet, bar, broken streams, and what a step costs."""

import errno
import io
import re
import time

import pytest

from backprop_cli.report.console import Console, bar_texts
from backprop_cli.training.events import (
    Checking,
    Epoch,
    Finished,
    GradientChecked,
    Saved,
    Started,
    Step,
    Stopped,
    Warned,
)

STARTED = Started(
    parameters=4810,
    examples={"train": 1257, "validation": 270, "test": 270},
    batch_size=32,
    epochs=30,
    steps_per_epoch=40,
    total_steps=1200,
    threads=1,
)
EPOCH = Epoch(
    step=120,
    epoch=3,
    seconds=1.0,
    metrics={
        "train/loss": 0.12344,
        "train/regularization": 0.0,
        "train/accuracy": 0.951,
        "validation/loss": 0.2,
        "validation/accuracy": 0.94,
        "learning_rate": 1e-3,
        "gradient_norm": 1.0,
        "examples_per_second": 12345.4,
    },
)
EVENTS = [
    Warned("early"),
    STARTED,
    GradientChecked(0, True, "dense_1.weight", 3.2e-8, 0.31, "gradient_check/step-00000000.json"),
    Step(1, 1, 0.5, 0.0, 1.0, 1e-3, 32, 0.01),
    EPOCH,
    Saved(120, "best", "checkpoints/best.safetensors"),
    Stopped(120, 3, "validation/loss has not improved for 2 epochs"),
    Finished("finished", 120, 3, 1.25, {}, "runs/x"),
]
LINES = [
    "warning: early",
    "training 4,810 parameters on 1,257 examples (validation 270, test 270); 30 epochs of 40 steps, batch 32, 1 thread",
    "gradients are right at step 0: largest relative error 3.2e-08 in dense_1.weight, 0.31 s",
    "epoch 3/30  loss 0.1234  accuracy 0.951  validation/loss 0.2  validation/accuracy 0.94  12,345 examples/s",
    "stopped in epoch 3, step 120: validation/loss has not improved for 2 epochs",
    "finished after 120 steps, 1.25 s",
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Broken(io.StringIO):
    """A pipe whose reader leaves after `lines` writes."""

    def __init__(self, lines=0):
        super().__init__()
        self.left = lines

    def write(self, text):
        if self.left == 0:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        self.left -= 1
        return super().write(text)


@pytest.fixture(autouse=True)
def terminal_environment(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "CI", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def play(stream, plain=True, quiet=False, events=EVENTS):
    with Console(stream, plain, quiet) as console:
        for event in events:
            console.show(event)


def test_plain_lines():
    stream = io.StringIO()
    play(stream)
    assert stream.getvalue().splitlines() == LINES


def test_quiet_shows_warnings_only():
    stream = io.StringIO()
    play(stream, quiet=True)
    assert stream.getvalue() == "warning: early\n"


def test_failed_gradient_check_is_shown_even_when_quiet():
    stream = io.StringIO()
    failed = GradientChecked(40, False, "dense_1.weight", 0.5, 0.31, "gradient_check/step-00000040.json")
    play(stream, quiet=True, events=[failed])
    assert stream.getvalue() == (
        "GRADIENTS ARE WRONG at step 40: largest relative error 5.0e-01 in dense_1.weight, 0.31 s; "
        "see gradient_check/step-00000040.json\n"
    )


def test_resumed_partial_and_regularized():
    stream = io.StringIO()
    resumed = Started(1, {"train": 1}, 1, 1, 1, 20, 2, step=10, epoch=2)
    part = Epoch(11, 2, 1.0, {"train/loss": 1.0, "train/regularization": 0.5}, partial=True)
    play(stream, events=[resumed, part])
    assert stream.getvalue().splitlines() == [
        "resuming after step 10: training 1 parameter on 1 example; 1 epoch of 1 step, batch 1, 2 threads",
        "epoch 2/1 (part)  loss 1  regularization 0.5",
    ]


@pytest.mark.parametrize(("total", "planned"), [(6, "2 epochs of 3 steps"), (5, "5 steps")])
def test_resumed_with_nothing_left(total, planned):
    stream = io.StringIO()
    play(stream, events=[Started(1, {"train": 3}, 1, 2, 3, total, 1, step=total, epoch=3)])
    key = "epochs" if total == 6 else "max_steps"
    assert stream.getvalue() == (
        f"resuming after step {total}: nothing is left of {planned}; to train longer, add training.{key}=N\n"
    )


def test_an_interruption_is_said_once():
    stream = io.StringIO()
    play(stream, events=[Stopped(120, 3, "interrupted")])
    assert stream.getvalue() == ""


def test_bar_on_a_terminal():
    stream = Terminal()
    play(stream, plain=False)
    shown = stream.getvalue()
    assert "epoch 1/30" in shown
    assert "loss 0.5" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is hidden and given back
    after = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.split("\x1b[?25h")[1])
    assert after.split() == " ".join(LINES[3:]).split()  # the last epoch stays, then why and how it ended


def test_bar_gives_the_cursor_back_after_an_exception():
    stream = Terminal()
    with pytest.raises(KeyboardInterrupt), Console(stream, plain=False, quiet=False) as console:
        console.show(STARTED)
        raise KeyboardInterrupt
    assert stream.getvalue().count("\x1b[?25h") == 1


def test_warning_is_written_above_the_bar():
    stream = Terminal()
    with Console(stream, plain=False, quiet=False) as console:
        console.show(STARTED)
        console.show(Warned("careful"))
    assert "\x1b[33mwarning: careful\x1b[0m\n" in stream.getvalue()


def test_a_gradient_check_shows_how_far_it_is(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("backprop_cli.report.console.monotonic", lambda: now[0])
    stream, lines = Terminal(), io.StringIO()
    with Console(stream, plain=False, quiet=False) as console, Console(lines, plain=True, quiet=False) as other:
        for each in (console, other):
            each.show(STARTED)
        started = lines.getvalue()
        for done in (0, 5, 1200):
            now[0] += 0.06  # drawn ten times a second
            for each in (console, other):
                each.show(Checking(0, done, 1234))
    assert "checking gradients" in stream.getvalue()
    assert " 0/1,234" in stream.getvalue()
    assert " 5/1,234" not in stream.getvalue()
    assert " 1,200/1,234" in stream.getvalue()
    assert lines.getvalue() == started


def test_time_left_does_not_count_the_gradient_check_at_the_start(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("backprop_cli.report.console.monotonic", lambda: now[0])
    stream = Terminal()
    with Console(stream, plain=False, quiet=False) as console:
        console.show(STARTED)
        now[0] += 1000.0
        console.show(GradientChecked(STARTED.step, True, "dense_1.weight", 1e-14, 1000.0, "gradient_check/0.json"))
        now[0] += 1.0
        console.show(Step(STARTED.step + 1, 1, 0.5, 0.0, 1.0, 1e-3, 32, 1.0))
    assert "19:59 left" in stream.getvalue()  # 1,199 steps of a second


def test_texts_of_the_bar():
    step = Step(140, 4, 0.123456, 0.0, 1.0, 1e-3, 32, 5.0)
    head, facts = bar_texts(step, STARTED, EPOCH, 10.0)
    assert head == "epoch 4/30"
    assert facts == ["loss 0.1235", "validation/accuracy 0.94", "1:16 left", "440 examples/s"]
    resumed = Started(1, {"train": 1257}, 32, 30, 40, 1200, 1, step=140)
    assert bar_texts(step, resumed, None, 0.0) == ("epoch 4/30", ["loss 0.1235"])


def test_metric_of_the_bar_falls_back():
    step = Step(1, 1, 1.0, 0.0, 1.0, 1e-3, 1, 1.0)
    for metrics, text in (
        ({"train/loss": 1.0, "train/accuracy": 0.5, "validation/loss": 2.0}, "accuracy 0.5"),
        ({"train/loss": 1.0, "validation/loss": 2.0}, "validation/loss 2"),
        ({"train/loss": 1.0}, None),
    ):
        _, facts = bar_texts(step, STARTED, Epoch(1, 1, 1.0, metrics), 0.0)
        assert facts[1:] == ([text] if text else [])


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("lines", [0, 1, 2, 3])
def test_a_broken_pipe_does_not_end_the_training(plain, lines):
    stream = Broken(lines)
    stream.isatty = lambda: True
    play(stream, plain=plain)
    assert stream.left == 0


@pytest.mark.parametrize("plain", [True, False])
def test_a_step_costs_little(plain, monkeypatch):
    monkeypatch.setattr("backprop_cli.report.console.monotonic", lambda: 0.0)  # never time to draw again
    step = Step(1, 1, 0.5, 0.0, 1.0, 1e-3, 32, 0.01)
    with Console(Terminal(), plain, quiet=False) as console:
        console.show(STARTED)
        console.show(step)
        show = console.show
        best = min(_seconds(show, step) for _ in range(5))
    assert best < 2e-6  # measured 0.1 µs; the margin is for a busy machine


def _seconds(show, step, repeat=20_000):
    began = time.perf_counter()
    for _ in range(repeat):
        show(step)
    return (time.perf_counter() - began) / repeat


def test_redraws_at_most_ten_times_a_second(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("backprop_cli.report.console.monotonic", lambda: now[0])
    stream = Terminal()
    with Console(stream, plain=False, quiet=False) as console:
        console.show(STARTED)
        before = len(stream.getvalue())
        drawn = 0
        for number in range(1, 1001):
            now[0] += 0.001
            console.show(Step(number, 1, 0.5, 0.0, 1.0, 1e-3, 32, now[0]))
            drawn += len(stream.getvalue()) > before
            before = len(stream.getvalue())
    assert drawn in (10, 11)
