"""The project's Markdown pages: their blocks, headings and links, and a reader who does what a page shows.

A page is read from top to bottom in one folder that has ``configs/`` and ``datasets/``, as a clone does:

``console``
    Commands after ``$ `` (continued after ``> ``) with the lines that they print; ``...`` stands for any lines.
    ``^C`` among the lines is a Ctrl-C after the third epoch.
``yaml``, ``python``, ``sh``, ``c``
    Written to the file that a comment in the first line names (``# flowers.yaml``, ``// main.c``).
``python`` without a name
    Run, in one interpreter for the page. A ``text`` block right after it shows what it prints.
``sh`` without a name
    Run as a script if the word ``run`` follows ``sh``. Commands that install something have tests of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md"]
LEFT_OUT = "..."
_NAMED = re.compile(r"(?:#|//) ([\w./-]+\.\w+)$")
_END = "\x1e"
_INTERPRETER = f"""
import json, sys, traceback
names = {{"__name__": "__main__"}}
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "page", "exec"), names)
    except Exception:
        traceback.print_exc(limit=0)
    print({_END!r}, flush=True)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after the fence, the text, and the line it begins at."""

    words: tuple[str, ...]
    text: str
    line: int

    @property
    def language(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def file(self) -> str | None:
        """The file that the block is to be written to."""
        named = _NAMED.match(self.text.partition("\n")[0])
        return named[1] if named and self.language in ("yaml", "python", "sh", "c") else None


def blocks(page: Path) -> list[Block]:
    """All fenced blocks, those inside lists too."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^( *)```([^\n`]*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        lines = [line.removeprefix(match[1]) for line in match[3].splitlines(keepends=True)]
        found.append(Block(tuple(match[2].split()), "".join(lines), text.count("\n", 0, match.start()) + 1))
    return found


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Pairs of a command and the lines shown under it."""
    shown: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            shown.append((line[2:], []))
        elif line.startswith("> ") and not shown[-1][1]:
            shown[-1] = (f"{shown[-1][0]}\n{line[2:]}", [])
        else:
            shown[-1][1].append(line)
    return shown


def anchors(page: Path) -> set[str]:
    """The fragments that a link into the page may name, as GitHub makes them from the headings."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(next(name for name in (slug, *(f"{slug}-{i}" for i in range(1, 99))) if name not in found))
    return found


def links(page: Path) -> list[str]:
    """The targets of all links but those in blocks of code."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))


def normal(line: str) -> str:
    """A line without what differs from run to run and from machine to machine."""
    line = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "RUN", line)
    line = re.sub(r"\b\w+_\d+\.(weight|bias)\w*\b", "PARAMETER", line)
    line = re.sub(r"^[a-z]+$", "NAME", line)
    line = re.sub(r"-?\d+(,\d{3})*(\.\d+)?(e[-+]?\d+)?", _number, line)
    line = re.sub(r"\[#(, #)*\]", "[#]", line).replace("threads", "thread")
    return re.sub(r"\s+", " ", line).strip()


def _number(found: re.Match[str]) -> str:
    """``#`` for any number, but the numbers of checks and of all their entries are the same everywhere."""
    return found[0] if found.string.startswith((" checks", " entries"), found.end()) else "#"


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Whether ``printed`` is ``shown``, where ``...`` stands for any lines."""
    parts = [LEFT_OUT if line == LEFT_OUT else re.escape(normal(line)) for line in shown]
    pattern = "".join("(?:.*\n)*?" if part == LEFT_OUT else part + "\n" for part in parts)
    return re.fullmatch(pattern, "".join(normal(line) + "\n" for line in printed)) is not None


def environment() -> dict[str, str]:
    """The environment of a reader: `bp` is on the path, the terminal is not one, messages are in English."""
    found = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return {**found, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}


class Reader:
    """Does in ``folder`` what a page shows, and reports where something else comes out."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._environment: Mapping[str, str] = environment()
        self._interpreter: subprocess.Popen[str] | None = None

    def read(self, page: Path) -> Iterator[str]:
        """Yields: a report for each command or block that does not print what the page shows."""
        found = blocks(page)
        with contextlib.ExitStack() as stack:
            for block, following in zip(found, [*found[1:], None], strict=True):
                place = f"{page.name}, block of line {block.line}"
                if block.file is not None:
                    target = self.folder / block.file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(block.text, encoding="utf-8")
                elif block.language == "console":
                    for command, shown in commands(block):
                        printed = self._run(command, interrupt="^C" in shown)
                        if not agrees(shown, printed):
                            yield f"{place}: $ {command}\n" + "\n".join(printed)
                elif block.language == "python":
                    shown_text = following.text if following is not None and following.language == "text" else ""
                    printed_text = self._python(block.text, stack)
                    if printed_text != shown_text:
                        yield f"{place}:\n{printed_text}"
                elif block.words[:2] == ("sh", "run"):
                    ended = self._script(block.text)
                    if ended.returncode:
                        yield f"{place}: exit code {ended.returncode}\n{ended.stderr}"

    def _run(self, command: str, *, interrupt: bool) -> list[str]:
        shell = ["bash", "-c", f"exec {command}" if interrupt else command]
        lines = []
        with self._started(shell, subprocess.DEVNULL) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if interrupt and line.startswith("epoch 3/"):
                    lines.append("^C")
                    process.send_signal(signal.SIGINT)
        return lines

    def _started(self, words: list[str], stdin: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=self._environment,
            text=True,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def _python(self, text: str, stack: contextlib.ExitStack) -> str:
        """What a block prints in the page's interpreter."""
        if self._interpreter is None:
            self._interpreter = stack.enter_context(
                self._started([sys.executable, "-c", _INTERPRETER], subprocess.PIPE)
            )
            stack.callback(self._interpreter.kill)
        assert self._interpreter.stdin is not None
        assert self._interpreter.stdout is not None
        self._interpreter.stdin.write(json.dumps(text) + "\n")
        self._interpreter.stdin.flush()
        lines = []
        for line in self._interpreter.stdout:
            if line == f"{_END}\n":
                break
            lines.append(line)
        return "".join(lines)

    def _script(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-eu"], input=text, cwd=self.folder, env=self._environment, text=True, capture_output=True
        )
