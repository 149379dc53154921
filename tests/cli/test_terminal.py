"""When a bar and colours belong, by the terminal and the environment."""

import io
import os

import pytest

from backprop_cli.cli.terminal import is_plain, say, write
from backprop_cli.errors import UsageError


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "plain"),
    [
        ({}, False),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "dumb"}, True),
        ({"NO_COLOR": "1"}, False),  # that is of colour alone
        ({"CI": "true"}, True),
        ({"CI": ""}, False),
    ],
)
def test_on_a_terminal(environment, plain):
    assert is_plain(Terminal(), environment) is plain


def test_elsewhere():
    assert is_plain(io.StringIO(), {})


def test_a_remark_that_cannot_be_printed_is_lost(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError(5, os.strerror(5))

    monkeypatch.setattr("sys.stderr", Gone())
    say("hello")


def test_pieces_of_a_result_stand_as_they_are(capsys):
    write("to be\nor ")
    write("not")
    assert capsys.readouterr().out == "to be\nor not"


def test_a_piece_that_cannot_be_written(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(UsageError) as caught:
        write("to be")
    assert str(caught.value) == "standard output: cannot be written: No space left on device"


def test_a_reader_that_has_left_is_told(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Gone())
    with pytest.raises(BrokenPipeError):
        write("to be")
