"""A whole process, from its start to its end, as a shell would run it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.participant import Unavailable

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "benchmarks" / "scripts"
BP = "from backprop_cli.cli.entry import main; main()"


class Command:
    """``arguments`` of the Python that runs this; a scratch directory, new each time, is its working directory.

    ``environment()``: variables that it sees besides those of this process.
    """

    def __init__(
        self,
        title: str,
        arguments: Sequence[str],
        needs: Sequence[str] = (),
        environment: Callable[[], Mapping[str, str]] = dict,
    ):
        self.title, self._arguments, self._needs, self._environment = title, arguments, needs, environment
        self._facts: dict[str, Any] = {"memory_bytes": 0}

    def prepare(self) -> None:
        absent = [name for name in self._needs if find_spec(name) is None]
        if absent:
            raise Unavailable(f"not installed: {', '.join(absent)}")
        self.sample()  # compiles modules and brings files into memory

    def sample(self) -> float:
        variables = {**os.environ, **self._environment()}
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
            start = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *self._arguments], cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines() or [""]
        if process.returncode:
            raise Unavailable(f"exit code {process.returncode}: {lines[-1]}")
        peak = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
        self._facts = {"memory_bytes": max(self._facts["memory_bytes"], peak), "printed": lines[-1]}
        return seconds

    def facts(self) -> dict[str, Any]:
        return self._facts

    def close(self) -> None:
        """Nothing to end."""


def bp(*arguments: str, environment: Callable[[], Mapping[str, str]] = dict) -> Command:
    """``bp ...``."""
    title = " ".join(Path(word).name if os.sep in word else word for word in ("bp", *arguments))
    return Command(title, ["-c", BP, *arguments], environment=environment)


def script(
    name: str, *arguments: str, needs: str = "torch", environment: Callable[[], Mapping[str, str]] = dict
) -> Command:
    """A script of ``benchmarks/scripts``, and its arguments."""
    return Command(f"scripts/{name}", [str(SCRIPTS / name), *arguments], [needs], environment)
