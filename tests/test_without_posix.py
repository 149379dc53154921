"""What Windows lacks is missed nowhere: the package is imported and used without it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
SIGNALS = ("SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGWINCH", "pthread_sigmask", "setitimer")
NAMES = (
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"),
    *("fork", "geteuid", "getuid", "killpg", "mkfifo", "pwrite", "sched_getaffinity", "sysconf"),
)
IMPORTS = f"""
import importlib, os, pkgutil, signal, sys
import backprop_cli, threadpoolctl

def import_all():
    for found in pkgutil.walk_packages(importlib.import_module("backprop_cli").__path__, "backprop_cli."):
        importlib.import_module(found.name)

import_all()  # with the libraries that it needs: they are not what is tested
for name in [name for name in sys.modules if name.partition(".")[0] == "backprop_cli"]:
    del sys.modules[name]
sys.platform = "win32"
sys.modules.update(dict.fromkeys({MODULES}))
for module, names in ((signal, {SIGNALS}), (os, {NAMES})):
    for name in names:
        vars(module).pop(name, None)
import_all()
"""
COMMANDS = """
from backprop_cli.cli import app

for line in sys.stdin.read().splitlines():
    assert app.run(line.split()) == 0, line
"""


def run(script, tmp_path, lines=()):
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTS + script], cwd=tmp_path, text=True, input="\n".join(lines), capture_output=True
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr


def test_every_module_can_be_imported(tmp_path):
    run("", tmp_path)


@pytest.mark.slow
def test_a_run_is_trained_resumed_and_used(tmp_path):
    config = ROOT / "configs" / "iris.yaml"
    lines = [
        f"train {config} --run-dir run --quiet training.epochs=2",
        "train --resume run --quiet training.epochs=3",
        f"predict run/checkpoints/last.safetensors {ROOT / 'datasets' / 'iris.csv'} --output predictions.csv",
        f"gradcheck {config} --json",
    ]
    run(COMMANDS, tmp_path, lines)
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 151
