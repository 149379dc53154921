"""The bar of commands without events: when it is drawn, what it says, and that it goes away."""

import errno
import io
import re

import pytest

from backprop_cli.report.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Gone(Terminal):
    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.fixture
def now(monkeypatch):
    for name in ("NO_COLOR", "CI", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    clock = [100.0]
    monkeypatch.setattr("backprop_cli.report.progress.monotonic", lambda: clock[0])
    return clock


def shown(stream):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())


def test_nothing_within_the_first_second(now):
    stream = Terminal()
    with Progress(stream, plain=False) as progress:
        for done in range(10):
            progress("broken rules", done, 10)
            now[0] += 0.09
    assert stream.getvalue() == ""


def test_how_many_are_done_and_the_time_left(now):
    stream = Terminal()
    with Progress(stream, plain=False) as progress:
        progress("entries", 0, 64)
        now[0] += 0.5
        progress("broken rules", 0, 1200)
        now[0] += 2.0
        progress("broken rules", 200, 1200)
        assert "broken rules" in shown(stream)
        assert "200/1,200  0:10 left" in shown(stream)
    assert "entries" not in shown(stream)
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") == 1
    assert stream.getvalue().endswith("\x1b[2K")  # the line is free again


def test_another_count_has_a_bar_of_its_own(now):
    stream = Terminal()
    with Progress(stream, plain=False) as progress:
        now[0] += 2.0
        progress("entries", 1, 64)
        now[0] += 2.0
        progress("broken rules", 0, 12)
    assert "1/64" in shown(stream)
    assert "0/12" in shown(stream)
    assert stream.getvalue().count("\x1b[?25h") == 2


def test_plain_is_silent(now):
    stream = io.StringIO()
    with Progress(stream, plain=True) as progress:
        now[0] += 5.0
        progress("entries", 1, 64)
    assert stream.getvalue() == ""


def test_terminal_that_is_gone_ends_nothing(now):
    with Progress(Gone(), plain=False) as progress:
        for done in range(3):
            now[0] += 5.0
            progress("entries", done, 64)
