"""One place turns every end of a command into a message and an exit code."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import typer

from backprop_cli import __version__
from backprop_cli.cli import app
from backprop_cli.cli.command import ALWAYS, COMMANDS, EXIT_CODES, Group, Json, command, help_ending
from backprop_cli.errors import (
    CheckError,
    CheckpointError,
    ConfigError,
    DataError,
    DivergenceError,
    InterruptionError,
    Problem,
    ShapeError,
    UsageError,
)
from backprop_cli.registry import discover

discover("backprop_cli.cli.commands")
NAMES = sorted(COMMANDS)


@pytest.fixture
def failing(monkeypatch):
    """A command ``boom`` that raises what the test puts here."""
    to_raise = []
    monkeypatch.delitem(COMMANDS, "boom", raising=False)

    @command("bp boom")
    def boom(as_json: Json = False) -> None:
        """Raise."""
        cause = to_raise[0]
        raise cause if isinstance(cause, BaseException) else cause()

    yield to_raise
    del COMMANDS["boom"]


def test_version(capsys):
    assert app.run(["--version"]) == 0
    assert capsys.readouterr().out == f"bp {__version__}\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_help_says_what_it_does_with_an_example_and_exit_codes(name, capsys):
    assert app.run([name, "--help"]) == 0
    text = capsys.readouterr().out
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0].startswith(f"Usage: bp {name} [OPTIONS]")
    summary = lines[2]
    assert summary.endswith(".")
    assert lines[3] == "", "what it does is one line"
    assert lines[lines.index("Example:") + 1].startswith(("bp ", "cat "))
    assert f"bp {name}" in lines[lines.index("Example:") + 1]
    codes = [int(line.split()[0]) for line in lines[lines.index("Exit codes:") + 1 :]]
    assert codes == sorted(codes)
    assert set(ALWAYS) <= set(codes) <= set(EXIT_CODES)


def test_help_names_arguments_without_types(capsys):
    app.run(["eval", "--help"])
    shown = capsys.readouterr().out.partition("Arguments:\n")[2].partition("Options:\n")[0]
    assert re.findall(r"^  (\S+.*?)  ", shown, re.MULTILINE) == ["CHECKPOINT|RUN", "KEY=VALUE"]


def test_help_of_bp_names_every_command_with_its_whole_summary(capsys):
    assert app.run(["--help"]) == 0
    text = capsys.readouterr().out
    for name in NAMES:
        summary = (COMMANDS[name].function.__doc__ or "").strip()
        assert f"  {name.ljust(max(map(len, NAMES)))}  {summary}\n" in text
    assert "  Example:\n    bp init digits && bp train digits.yaml\n" in text
    assert "  Exit codes:\n      0  done\n" in text


def test_help_of_bp_begins_with_what_a_newcomer_needs(capsys):
    app.run(["--help"])
    text = capsys.readouterr().out
    assert [line[:-1] for line in text.splitlines() if re.match(r"\w.*:$", line)] == [*get_args(Group), "Options"]
    listed = re.findall(rf"^  ({'|'.join(NAMES)}) ", text, re.MULTILINE)
    assert sorted(listed) == NAMES
    assert [name for name in listed if name in {"init", "train", "predict"}] == listed[: listed.index("predict") + 1]


def test_help_is_also_a_command(capsys):
    def printed(*words):
        assert app.run(words) == 0
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out

    assert printed() == printed("help") == printed("--help")
    assert printed("help", "train") == printed("train", "--help")
    assert printed("help", "help") == printed("help", "--help")
    assert app.run(["help", "trian"]) == app.run(["trian"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == 2 * "bp: unknown command 'trian'; did you mean 'train'?\nTry 'bp --help'.\n"


def test_help_ending():
    assert help_ending(["bp x", "bp x y"], [*ALWAYS, 3], "Note:\n  z") == (
        "\b\n"
        "Example:\n"
        "  bp x\n"
        "  bp x y\n"
        "\n"
        "\b\n"
        "Note:\n"
        "  z\n"
        "\n"
        "\b\n"
        "Exit codes:\n"
        "    0  done\n"
        "    1  internal error: a bug in bp, with a traceback\n"
        "    2  usage or configuration\n"
        "  130  interrupted by Ctrl-C (SIGINT)\n"
        "  143  ended by SIGTERM\n"
        "    3  a check said no"
    )


def test_codes_of_errors_are_documented():
    kinds = (UsageError, ConfigError, ShapeError, CheckError, DivergenceError, CheckpointError, DataError)
    assert {kind.exit_code for kind in kinds} <= set(EXIT_CODES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "bp: unknown command 'trian'; did you mean 'train'?\nTry 'bp --help'.\n"),
        (["zzz"], f"bp: unknown command 'zzz'; known: {', '.join(NAMES)}\nTry 'bp --help'.\n"),
        (["eval"], "bp eval: missing argument 'CHECKPOINT|RUN'\nTry 'bp eval --help'.\n"),
        (
            ["jacobian", "run", "--order", "sideways"],
            "bp jacobian: invalid value for '--order': 'sideways' is not one of 'auto', 'forward', 'reverse', 'best'\n"
            "Try 'bp jacobian --help'.\n",
        ),
        (
            ["gradcheck", "--samples", "some"],
            "bp gradcheck: invalid value for '--samples': expected a number above 0 or 'all', got 'some'\n"
            "Try 'bp gradcheck --help'.\n",
        ),
    ],
)
def test_usage_errors(arguments, message, capsys):
    assert app.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == message
    assert app.run([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.err == message
    stated = message.splitlines()[0].partition(": ")[2]
    assert json.loads(captured.out) == {"error": {"code": 2, "kind": "usage", "problems": [{"message": stated}]}}


@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [
        (["train", "--jsno"], "bp train: no such option: --jsno"),
        (["train", "x.yaml", "--threads", "0"], "bp train: invalid value for '--threads': "),
        (["train", "x.yaml", "--threads", "two"], "bp train: invalid value for '--threads': "),
    ],
)
def test_usage_errors_in_the_parsers_words(arguments, beginning, capsys):
    assert app.run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(beginning)
    assert err.endswith("\nTry 'bp train --help'.\n")


@pytest.mark.parametrize(("option", "value"), [("--threads", "two"), ("--threads", "0"), ("--max-seconds", "1h")])
def test_a_value_that_is_refused_is_told(option, value, capsys):
    assert app.run(["train", "x.yaml", option, value]) == 2
    assert re.search(rf"'{option}': .*\b{value}\b", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("option", "key"),
    [("--epochs", "training.epochs"), ("--learning-rate", "optimizer.learning_rate"), ("--seed", "seed")],
)
def test_a_setting_given_as_an_option(option, key, capsys):
    assert app.run(["train", "x.yaml", option, "5"]) == 2
    assert capsys.readouterr().err == (
        f"bp train: no such option: {option}; settings are given as KEY=VALUE: did you mean '{key}'?\n"
        "Try 'bp train --help'.\n"
    )
    assert app.run(["predict", "x", option, "5"]) == 2
    assert "KEY=VALUE" not in capsys.readouterr().err


def test_json_after_a_double_dash_is_an_argument(capsys):
    assert app.run(["trian", "--", "--json"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (UsageError("that does not fit"), 2, "usage"),
        (ConfigError([Problem(("seed",), "wrong", file="a.yaml", line=3, column=7)]), 2, "config"),
        (ShapeError("dense_1", "does not fit"), 2, "shape"),
        (CheckError("no"), 3, "check"),
        (DivergenceError("loss is nan at step 3"), 4, "diverged"),
        (CheckpointError("x: is truncated"), 5, "checkpoint"),
        (DataError("x.csv:3: ragged"), 6, "data"),
        (InterruptionError("saved at step 7", signal.SIGINT), 130, "interrupted"),
        (InterruptionError("saved at step 7", signal.SIGTERM), 143, "interrupted"),
    ],
)
def test_errors(failing, error, code, kind, capsys):
    failing.append(error)
    assert app.run(["boom"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"{error}\n")
    assert app.run(["boom", "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"{error}\n"
    assert json.loads(captured.out) == {"error": {"code": code, "kind": kind, "problems": error.describe()}}


def test_problem_of_a_configuration_as_json(failing, capsys):
    failing.append(ConfigError([Problem(("seed",), "wrong", file="a.yaml", line=3, column=7), Problem((), "also")]))
    app.run(["boom", "--json"])
    assert json.loads(capsys.readouterr().out)["error"]["problems"] == [
        {"path": "seed", "message": "wrong", "file": "a.yaml", "line": 3, "column": 7},
        {"path": "", "message": "also"},
    ]


def test_details_stand_beside_the_error(failing, capsys):
    error = DivergenceError("loss is nan at step 3")
    error.details = {"run_dir": "runs/x", "status": "diverged"}
    failing.append(error)
    assert app.run(["boom", "--json"]) == 4
    assert json.loads(capsys.readouterr().out) == {
        "error": {"code": 4, "kind": "diverged", "problems": [{"message": "loss is nan at step 3"}]},
        "run_dir": "runs/x",
        "status": "diverged",
    }


def test_a_bug_keeps_its_traceback(failing, capsys):
    failing.append(ZeroDivisionError("division by zero"))
    assert app.run(["boom", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("Traceback (most recent call last):\n")
    assert captured.err.endswith(
        "ZeroDivisionError: division by zero\n\n"
        f"this is a bug in bp {__version__}; please report it with the lines above\n"
    )
    assert json.loads(captured.out) == {
        "error": {"code": 1, "kind": "internal", "problems": [{"message": "ZeroDivisionError: division by zero"}]}
    }


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (app.Terminated(), 143, "terminated"),
        (typer.Abort(), 130, "interrupted"),
    ],
)
def test_interrupts(failing, error, code, word, capsys):
    failing.append(error)
    assert app.run(["boom", "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"{word}\n"
    expected = {"error": {"code": code, "kind": "interrupted", "problems": [{"message": word}]}}
    assert json.loads(captured.out) == expected


def test_sigterm_becomes_an_exception_and_its_handler_goes(failing, capsys):
    before = signal.getsignal(signal.SIGTERM)
    failing.append(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert app.run(["boom"]) == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert capsys.readouterr().err == "terminated\n"


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_that_an_extension_turns_into_its_own_error_is_still_one(failing, number, code, word, capsys):
    def build_serializer():
        try:
            signal.raise_signal(number)
        except BaseException as raised:
            raise ValueError("Error building `model` serializer") from raised

    before = signal.getsignal(number)
    failing.append(build_serializer)
    assert app.run(["boom"]) == code
    assert capsys.readouterr().err == f"{word}\n"
    assert signal.getsignal(number) is before


def test_code_that_leaves_the_process_never_ends_it_well(failing, capsys):
    failing.append(SystemExit(0))
    assert app.run(["boom"]) == 1
    assert "SystemExit: 0\n\nthis is a bug in bp" in capsys.readouterr().err


def test_broken_pipe_inside_a_command_ends_quietly(failing, capsys):
    failing.append(BrokenPipeError())
    assert app.run(["boom"]) == 0
    assert capsys.readouterr() == ("", "")


def bp(*arguments, **options):
    """The real process."""
    command = [sys.executable, "-m", "backprop_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def test_usage_lines_say_how_it_was_called(tmp_path):
    def called(*command):
        done = subprocess.run([*command, "eval"], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr

    said = "{0} eval: missing argument 'CHECKPOINT|RUN'\nTry '{0} eval --help'.\n"
    assert called(sys.executable, "-m", "backprop_cli") == said.format("python -m backprop_cli")
    for name, shown in (("bp", "bp"), ("backprop-cli", "backprop-cli"), ("other", "bp")):
        (tmp_path / name).write_text(f"#!{sys.executable}\nfrom backprop_cli.cli.entry import main\nmain()\n")
        (tmp_path / name).chmod(0o755)
        assert called(tmp_path / name) == said.format(shown)


def test_examples_say_how_it_was_called(capsys):
    for words in (["train", "--help"], ["--help"], ["completion", "--help"]):
        assert app.run(words, "backprop-cli") == 0
        text = capsys.readouterr().out
        assert not re.search(r"\bbp ", text)
        assert f"    backprop-cli {words[0] if words[1:] else 'init'} " in text


def test_both_names_are_the_same_program():
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == dict.fromkeys(["bp", "backprop-cli"], "backprop_cli.cli.entry:main")


def test_help_imports_nothing_heavy():
    script = (
        "import sys\nfrom backprop_cli.cli import app\napp.run(['--help'])\n"
        "heavy = {'numpy', 'rich', 'pydantic', 'yaml', 'safetensors', 'threadpoolctl', 'hashlib', 'random'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_help_takes_less_than_three_imports_of_typer():
    help_seconds = min(_seconds("from backprop_cli.cli.entry import main; main()", "--help") for _ in range(5))
    import_seconds = min(_seconds("import typer") for _ in range(5))
    assert help_seconds < 3 * import_seconds


def test_no_garbage_is_looked_for_at_start_and_end():
    """Neither while a command starts nor among all its objects when the interpreter ends."""
    script = (
        "import atexit, gc, sys\nfrom backprop_cli.cli.entry import main\n"
        "atexit.register(lambda: print(gc.get_count()[1], len(gc.get_objects()) < 1000, file=sys.stderr))\n"
        "gc.collect()\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", script, "list", "layers"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "0 True\n")


def test_the_end_loses_nothing(tmp_path):
    """Neither the rest of a program that calls it, nor what others left open: buffers and temporary files."""
    script = (
        "import tempfile\nfrom backprop_cli.cli.entry import main\n"
        "log = open('log.txt', 'w')\nlog.write('buffered')\nkept = tempfile.NamedTemporaryFile(dir='.')\n"
        "try:\n    main()\nfinally:\n    print('the rest')"
    )
    command = [sys.executable, "-c", script, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[1:], done.stderr) == (0, ["the rest"], "")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"log.txt": "buffered"}


def _seconds(script, *arguments):
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True, timeout=60)
    return time.perf_counter() - began


def test_a_reader_that_leaves_ends_it_quietly():
    script = f"{sys.executable} -c 'from backprop_cli.cli.entry import main; main()' list ops --json"
    done = subprocess.run(
        ["bash", "-c", f"{script} | head -n 1; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list", "ops"]])
def test_output_that_nobody_reads(arguments):
    read, write = os.pipe()
    os.close(read)
    script = "from backprop_cli.cli.entry import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["list"], ["--help"], ["train", "--help"], ["help", "train"]])
def test_output_on_a_full_disk_is_said(words):
    with Path("/dev/full").open("w") as full:
        script = "from backprop_cli.cli.entry import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", script, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (done.returncode, done.stderr) == (2, "standard output: cannot be written: No space left on device\n")


def test_text_that_the_terminal_cannot_show():
    done = bp("zzé", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert done.stderr.startswith("python -m backprop_cli: unknown command 'zz\\xe9'; known: ")


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_standard_streams(closed):
    """Errors go nowhere, standard output is one JSON object, and no file gets the number of a standard stream."""
    script = f"exec {sys.executable} -m backprop_cli eval nowhere --json {closed}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["kind"] == "checkpoint"
