"""Nothing that a file or an argument says is obeyed by a terminal: messages, results, warnings, the bar, the log."""

import io
import json
import os
import pty
import sys
import warnings

import pytest

from backprop_cli.cli import app
from backprop_cli.cli.command import COMMANDS, Json, command
from backprop_cli.cli.terminal import emit, emit_json, say, standard_output
from backprop_cli.errors import DataError, UsageError, warn
from backprop_cli.report.screen import Screen
from backprop_cli.run.log import RunLog
from backprop_cli.training.events import Started

EVIL = "a\x1b]0;owned\x07\u202e\x9b[red]"
SEEN = "a\\x1b]0;owned\\x07\\u202e\\x9b[red]"


@pytest.fixture
def evil(monkeypatch):
    """A command that does what the test puts here."""
    todo = []
    monkeypatch.delitem(COMMANDS, "evil", raising=False)

    @command("bp evil")
    def evil(as_json: Json = False) -> None:
        """Do it."""
        todo[0]()

    yield todo
    del COMMANDS["evil"]


def fail(error):
    raise error


def test_messages(evil, capsys):
    for error, text in ((UsageError(EVIL), SEEN), (DataError(f"{EVIL}\nwarning: x"), f"{SEEN}\\nwarning: x")):
        evil[:] = [lambda error=error: fail(error)]
        app.run(["evil"])
        assert capsys.readouterr().err == f"{text}\n"


def test_a_failure_as_json(evil, capsys):
    evil[:] = [lambda: fail(UsageError(EVIL))]
    assert app.run(["evil", "--json"]) == 2
    out = capsys.readouterr().out
    assert "\x9b" not in out
    assert "\u202e" not in out
    assert json.loads(out)["error"]["problems"] == [{"message": EVIL}]


def test_a_bug(evil, capsys):
    evil[:] = [lambda: fail(ValueError(EVIL))]
    assert app.run(["evil"]) == 1
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert f"ValueError: {SEEN}" in err


def test_warnings(evil, capsys):
    evil[:] = [lambda: warn(f"{EVIL}\nb")]
    assert app.run(["evil"]) == 0
    assert capsys.readouterr().err == f"warning: {SEEN}\\nb\n"


def test_other_warnings(evil, capsys):
    evil[:] = [lambda: warnings.warn_explicit(EVIL, UserWarning, "a.py", 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert app.run(["evil"]) == 0
    assert f"UserWarning: {SEEN}" in capsys.readouterr().err


def test_arguments(capsys):
    assert app.run([EVIL]) == 2
    assert app.run(["show", f"--{EVIL}\nx"]) == 2
    err = capsys.readouterr().err
    assert f"unknown command '{SEEN}'" in err
    assert "\x1b" not in err
    assert "\nx" not in err


def test_results_and_remarks(capsys):
    emit(EVIL)
    say(EVIL)
    emit_json({EVIL: EVIL})
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{SEEN}\n")
    assert captured.err == f"{SEEN}\n"
    assert json.loads(captured.out.partition("\n")[2]) == {EVIL: EVIL}


def test_the_log(tmp_path):
    with RunLog(tmp_path / "log.txt", [].append) as log:
        log.show(Started(1, {"train": 1}, 1, 1, 1, 1, 1))
        log.write(f"{EVIL}\udcff")
    assert (tmp_path / "log.txt").read_text().endswith(f"\n{SEEN}\\udcff\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("color", [{}, {"NO_COLOR": "1"}])
def test_the_bar_prints_names_literally(color, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for key, value in {**color, "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(key, value)
    stream = Terminal()
    screen = Screen(stream)
    screen.open_bar("epoch 1", 0, 4)
    screen.draw(2, EVIL, [":smile: [bold]x"])
    screen.print(EVIL, "yellow")
    screen.close_bar()
    text = stream.getvalue()
    assert "\x1b]0;" not in text
    assert "\x07" not in text
    assert SEEN in text
    assert ":smile: [bold]x" in text
    assert "━" in text
    assert ("\x1b[33m" in text) is not bool(color)


@pytest.mark.skipif(os.name != "posix", reason="pseudo terminals")
def test_predictions_are_data_but_on_a_terminal(monkeypatch, capfdbinary):
    standard_output().write(EVIL.encode())
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == EVIL.encode()
    main, end = pty.openpty()
    with os.fdopen(end, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        stream = standard_output()
        stream.write(EVIL.encode())
        stream.flush()
        assert os.read(main, 1000).decode() == SEEN
        monkeypatch.undo()
    os.close(main)
