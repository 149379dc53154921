"""Commands that the pages show with their output: run in a copy of the ready configurations, or read from the pages."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from backprop_cli.cli import app
from generator import markdown

_RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
_MEASURED = re.compile(r"\d+\.\d{3,}(e[-+]\d+)?|(?<=interrupted at step )\d+")
_CALLS = re.compile(r"(?<=Traceback \(most recent call last\):\n)(?:  .*\n)+")
_SHOWN = re.compile(r"^```text\n\$ (.+)\n((?:.*\n)*?)```$", re.MULTILINE)
_OBJECT = re.compile(r"^```sh\n(.+)\n```\n\n```js\n((?:.*\n)*?)```$", re.MULTILINE)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
_ENVIRONMENT = {"COLUMNS": "110", "CI": "1", "NO_COLOR": "1"}
ROOT = Path(__file__).parent.parent.parent
NO_FILES: Mapping[str, str] = MappingProxyType({})
FIRST = "bp train configs/iris.yaml training.epochs=1 --quiet"
"""The run that other commands use."""
LEFT_OUT = "..."
"""Stands for a measured number, which differs from machine to machine."""


class Examples:
    """Runs commands one after the other in one folder: a command finds the runs of those before it.

    ``pages``: a folder with pages; a command that they show is not run again. None: every command is run.
    """

    def __init__(self, pages: Path | None):
        texts = [] if pages is None else [path.read_text(encoding="utf-8") for path in sorted(pages.glob("*.md"))]
        self._recorded = {shown[1]: shown[2].rstrip("\n") for text in texts for shown in _SHOWN.finditer(text)}
        self._objects = {shown[1]: shown[2].rstrip("\n") for text in texts for shown in _OBJECT.finditer(text)}
        self._folder: Path | None = None

    def shown(self, command: str, files: Mapping[str, str] = NO_FILES, interrupt: bool = False) -> str:
        """A block with a command and what it prints to standard error.

        ``files``: those that it reads, by name. ``interrupt``: press Ctrl-C while it trains.
        """
        if command not in self._recorded:
            printed = self._interrupted(command) if interrupt else self._run(command, files)["stderr"]
            self._recorded[command] = self._normal(printed)
        return markdown.block("text", f"$ {command}\n{self._recorded[command]}")

    def object(self, command: str, render: Callable[[str], str], before: str = "") -> str:
        """A command, and below it the object that it prints, as ``render`` writes it.

        ``before``: a command to run first.
        """
        if command not in self._objects:
            if before:
                self._run(before)
            self._objects[command] = self._normal(render(self._run(command)["stdout"]))
        return f"{markdown.block('sh', command)}\n\n{markdown.block('js', self._objects[command])}"

    @property
    def folder(self) -> Path:
        """The folder that commands run in."""
        if self._folder is None:
            raise ValueError("use the examples as a context manager")
        return self._folder

    @property
    def _environment(self) -> dict[str, str]:
        return {**_ENVIRONMENT, "XDG_CACHE_HOME": str(self.folder / "cache")}

    @contextlib.contextmanager
    def opened(self) -> Iterator[Examples]:
        """Make the folder, and remove it at the end."""
        with tempfile.TemporaryDirectory() as name:
            self._folder = Path(name).resolve()
            yield self

    def _run(self, command: str, files: Mapping[str, str] = NO_FILES) -> dict[str, str]:
        if not (self.folder / "configs").exists():
            for name in ("configs", "datasets"):
                shutil.copytree(ROOT / name, self.folder / name)
            self._run(FIRST)
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        streams = {name: io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for name in ("stdout", "stderr")}
        before = dict(os.environ)
        try:
            os.environ.update(self._environment)
            with (
                contextlib.chdir(self.folder),
                contextlib.redirect_stdout(streams["stdout"]),
                contextlib.redirect_stderr(streams["stderr"]),
            ):
                app.run(shlex.split(command)[1:])
        finally:
            os.environ.clear()
            os.environ.update(before)
        texts = {name: stream.buffer.getvalue().decode("utf-8") for name, stream in streams.items()}
        if "this is a bug in bp" in texts["stderr"]:
            raise RuntimeError(f"{command}\n{texts['stderr']}")
        return texts

    def _interrupted(self, command: str) -> str:
        """What a training prints that gets Ctrl-C after an epoch."""
        before = set(self.folder.glob("runs/*/*/metrics.jsonl"))
        python = [sys.executable, "-c", "from backprop_cli.cli.entry import main; main()"]
        options: dict[str, Any] = {
            "cwd": self.folder,
            "env": {**os.environ, **self._environment},
            "text": True,
            "stderr": subprocess.PIPE,
        }
        with subprocess.Popen([*python, *shlex.split(command)[1:]], **options) as process:
            while process.poll() is None:
                new = set(self.folder.glob("runs/*/*/metrics.jsonl")) - before
                if any('"event": "epoch"' in journal.read_text(encoding="utf-8") for journal in new):
                    process.send_signal(signal.SIGINT)
                    break
                time.sleep(0.05)
            _, printed = process.communicate()
        return f"^C\n{printed}"

    def _normal(self, text: str) -> str:
        """Output without what differs from run to run and from machine to machine."""
        text = _CALLS.sub("  ...\n", text).replace(f"{self.folder}{os.sep}", "")
        text = _TIME.sub("2026-01-31T12:00:00+00:00", text)
        return _MEASURED.sub(LEFT_OUT, _RUN.sub("20260131T120000Z-0a1b", text)).rstrip("\n")


def printed(code: str) -> str:
    """What a piece of Python prints."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(code, {"__name__": "__main__"})
    return stream.getvalue()
