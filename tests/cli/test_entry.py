"""The start of a command does only what the command needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WATCHED = """
import atexit, json, os, re, sys
from backprop_cli.cli.entry import main

patterns, compile_pattern = [], re.compile
re.compile = lambda pattern, flags=0: patterns.append(str(pattern)) or compile_pattern(pattern, flags)


def report():
    os.write(2, json.dumps({"modules": sorted(sys.modules), "patterns": patterns}).encode())


atexit.register(report)
main()
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """What a training of the smallest configuration has loaded at its end."""
    run = tmp_path_factory.mktemp("start") / "run"
    arguments = ["train", "configs/iris.yaml", "--run-dir", str(run), "--quiet", "training.epochs=1"]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr)


def test_training_loads_no_module_that_only_a_search_for_plugins_needs(start):
    assert {"email.message", "socket", "calendar", "quopri"} & set(start["modules"]) == set()


def test_classes_are_not_compared_with_dates(start):
    assert [pattern for pattern in start["patterns"] if "jan|feb" in pattern] == []


def test_modules_that_run_when_they_are_used_work_then():
    script = (
        "from backprop_cli.cli.entry import start_quickly\nstart_quickly()\n"
        "import importlib.metadata, sys, zipfile\nassert 'email.message' not in sys.modules\n"
        "assert importlib.metadata.metadata('numpy')['Name'] == 'numpy'\nassert zipfile.is_zipfile(__file__) is False\n"
    )
    done = subprocess.run([sys.executable, "-c", f"__file__ = {__file__!r}\n{script}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
