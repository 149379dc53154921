"""``bp completion``: the scripts in the shells themselves, and what they are made of."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from backprop_cli.cli import app
from backprop_cli.cli.candidates import FILES, Value, every_command, override_keys, value_of
from backprop_cli.cli.command import COMMANDS
from backprop_cli.cli.commands.completion_command import INSTALLATION
from backprop_cli.config.load import load_config
from backprop_cli.errors import ConfigError

pytest.importorskip("pty", reason="the shells are those of POSIX")
from shell_support import PROMPT, Terminal, completed

SHELLS = ("bash", "zsh", "fish")
KINDS = "activations averages formats initializers layers losses metrics ops optimizers schedules"
OFFERED = {
    "bp tr": "train",
    "backprop-cli tr": "train",
    "bp help tr": "train",
    "bp completion ": "bash fish zsh",
    "bp list ": KINDS,
    "bp list lo": "losses",
    "bp --ver": "--version",
    "bp train --res": "--resume",
    "bp train conf": "configs",
    "bp train configs/": "iris.yaml plugins x.yml",
    "bp train --threads 4 configs/ir": "iris.yaml",
    "bp train configs/iris.yaml training.ep": "training.epochs=",
    "bp train configs/iris.yaml seed=1 training.ep": "training.epochs=",
    "bp train --resume ru": "runs",
    "bp train --resume=runs/": "a latest",
    "bp train --plot configs/": "plugins",
    "bp train --threads ": "",
    "bp train runs/ --j": "--json",
    "bp validate configs/iris.yaml con": "configs",
    "bp validate configs/iris.yaml name": "name=",
    "bp eval runs/": "a latest m.safetensors",
    "bp eval ~/ru": "runs",
    "bp eval --split v": "validation",
    "bp eval --split=v": "validation",
    "bp gradcheck --method ": "adjoint auto central complex projection taylor",
    "bp gradcheck configs/": "iris.yaml plugins x.yml",
    "bp jacobian runs/a --order b": "best",
    "bp predict runs/a configs/": "iris.yaml note.txt plugins x.yml",
    "bp nonsense ": "",
}


def script(shell, capsys, program="bp"):
    assert app.run(["completion", shell], program) == 0
    return capsys.readouterr().out


def needs(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


@pytest.fixture
def folder(tmp_path):
    """A working directory, which is the home directory, too."""
    for name in (
        "configs/iris.yaml",
        "configs/x.yml",
        "configs/note.txt",
        "configs/plugins/p.py",
        "runs/m.safetensors",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "runs" / "a").mkdir()
    (tmp_path / "runs" / "latest").symlink_to("a")
    return tmp_path


@pytest.fixture
def places():
    return every_command(app.build().make_context("bp", ["schema"]))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_offers_what_fits(shell, folder, capsys):
    needs(shell)
    found = completed(shell, script(shell, capsys), OFFERED, folder)
    assert found == {line: words.split() for line, words in OFFERED.items()}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_offers_every_command_and_option(shell, folder, places, capsys):
    needs(shell)
    program, *commands = places
    wanted = {"bp ": sorted(COMMANDS), "bp -": sorted(name for each in program.options for name in each.names)}
    for command in commands:
        wanted[f"bp {command.name} -"] = sorted(name for each in command.options for name in each.names)
    assert all("--help" in names for line, names in wanted.items() if line != "bp ")
    assert completed(shell, script(shell, capsys), wanted, folder) == wanted


@pytest.mark.parametrize("shell", SHELLS)
def test_the_other_name_is_completed_alone(shell, folder, capsys):
    """Where ``bp`` is another program, its completion stays as it is."""
    needs(shell)
    found = script(shell, capsys, "backprop-cli")
    assert completed(shell, found, ["backprop-cli tr"], folder) == {"backprop-cli tr": ["train"]}
    assert not re.search(r"(complete -c|_backprop_cli) bp\b", found)
    assert re.search(r"(complete -c|_backprop_cli) bp\b", script(shell, capsys))


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_installed_as_its_help_says(shell, folder):
    needs(shell)
    program = folder / "bin" / "bp"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom backprop_cli.cli.entry import main\nmain()\n")
    program.chmod(0o755)
    _, *lines = INSTALLATION.splitlines()
    first = next(number for number, line in enumerate(lines) if line.split()[0] == shell)
    lines = [lines[first].replace(shell, "", 1).strip(), lines[first + 1].strip()]
    environment = {**os.environ, "HOME": str(folder), "PATH": f"{program.parent}:{os.defpath}"}
    subprocess.run(["bash", "-euc", "\n".join(lines)], env=environment, check=True)
    if shell == "fish":
        asked = "complete -C 'bp tr'; complete -C 'backprop-cli tr'"
        done = subprocess.run(["fish", "-c", asked], env=environment, text=True, capture_output=True, check=True)
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["train", "train"]
        return
    with (folder / f".{shell}rc").open("a") as file:
        file.write(f"PS1={PROMPT}\n")
    with Terminal([shell, "-i"], folder) as terminal:
        terminal.type("", until=PROMPT)
        for name in ("bp", "backprop-cli"):
            shown = terminal.type(f"{name} tr\tconfigs/ir\ttraining.ep\t7\x01echo :\n", until=f"\r\n:.*{PROMPT}")
            assert f"\n:{name} train configs/iris.yaml training.epochs=7" in shown.replace(": ", ":")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["tcsh"], "invalid value for 'SHELL': 'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        ([], "missing argument 'SHELL'; choose from bash, zsh, fish"),
    ],
)
def test_an_unknown_shell(words, reason, capsys):
    assert app.run(["completion", *words]) == 2
    assert capsys.readouterr().err == f"bp completion: {reason}\nTry 'bp completion --help'.\n"


@pytest.mark.parametrize(
    ("metavar", "value"),
    [
        ("N", Value()),
        ("KEY=VALUE", Value()),
        ("METRIC>=VALUE", Value()),
        ("K|K-L|all", Value(("all",))),
        ("1|2", Value(("1", "2"))),
        ("RUN", Value((), (), True)),
        ("INPUT|-", Value((), ("",), True)),
        ("CONFIG|CHECKPOINT|RUN", Value((), (".yaml", ".yml", ".safetensors"), True)),
        ("VECTOR.npy|random", Value(("random",), (".npy",), True)),
        ("FILE.png|FILE", Value((), ("",), True)),
    ],
)
def test_a_metavar_says_what_fits(metavar, value):
    assert value_of(metavar, []) == value


def test_every_path_is_completed(places):
    """Its metavar is one of those that stand for files or folders."""
    for command in places[1:]:
        hints = get_type_hints(COMMANDS[command.name].function, include_extras=True)
        paths = [hint for hint in hints.values() if Path in get_args(hint) or "Path" in str(get_args(hint)[:1])]
        metavars = [info.metavar for hint in paths for info in getattr(hint, "__metadata__", ())]
        assert len(metavars) == len(paths)
        assert all(value_of(metavar, []).is_path for metavar in metavars), (command.name, metavars, sorted(FILES))


def test_every_offered_key_can_be_overridden(tmp_path):
    keys = override_keys()
    assert {"seed=", "training.epochs=", "optimizer=", "optimizer.learning_rate=", "data.split.test="} <= set(keys)
    assert not {"training=", "optimizer.type="} & set(keys)
    config = Path(__file__).parents[2] / "configs" / "iris.yaml"
    for key in keys:
        try:
            load_config(config, [f"{key}none"])
        except ConfigError as error:
            assert "unknown key" not in str(error), key
