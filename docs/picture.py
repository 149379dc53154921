"""Draw the README's picture of a terminal: ``python docs/picture.py [FILE]``, by default docs/terminal.svg.

The commands run in a pseudo-terminal, so they print what a person sees: colours, and the bar half way through.
"""

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
COLUMNS = 126
ERASE, UP = "\x1b[2K", "\x1b[1A"


def run(command: str, folder: str) -> str:
    """Everything that a command writes to a terminal of ``COLUMNS`` columns."""
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "NO_COLOR")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment |= {"PATH": path, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, shell=True, cwd=folder, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 65536):
                written += piece
        except OSError:  # the other side is closed
            pass
        process.wait()
    return written.decode()


def screen(written: str) -> list[str]:
    """The lines that stand on the screen in the end, colours included."""
    lines, row = [""], 0
    for part in re.split(r"(\r?\n|\r|\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh])", written):
        if part.endswith("\n"):
            row += 1
            lines += [""] * (row == len(lines))
        elif part == UP:
            row -= 1
        elif part == ERASE:
            lines[row] = ""
        elif part and part != "\r" and not part.startswith("\x1b[?"):
            lines[row] += part
    return lines[:-1]


def main(file: str) -> None:
    """Run the commands and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        run("bp init --examples", folder)
        train = run("bp train configs/digits.yaml", folder)
        explained = run("bp explain configs/iris.yaml", folder)
    bars = list(re.finditer(r"\x1b\[2Kepoch (\d+)/40 [^\r]*", train))
    half = screen(train[: min(bars, key=lambda bar: abs(int(bar[1]) - 25)).end()] + "\n")
    end = screen(train)
    explain = screen(explained)
    first = next(number for number, line in enumerate(explain) if "dL/dW1 = " in line)
    shown = [
        "$ bp train configs/digits.yaml",
        *half,
        *end[next(number for number, line in enumerate(end) if line.startswith("finished")) :],
        "$ bp explain configs/iris.yaml",
        "...",
        *explain[first : first + 3],
        "...",
    ]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in shown:
        console.print(Text.from_ansi(line), style="bold" if line.startswith("$") else None, no_wrap=True, crop=True)
    console.save_svg(file, title="bp")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "docs" / "terminal.svg"))
