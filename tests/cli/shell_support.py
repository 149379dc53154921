"""Real shells, asked what they would complete."""

import os
import pty
import re
import select
import shlex
import subprocess
import time
from pathlib import Path, PurePath

ENVIRONMENT = {"PATH": os.defpath, "TERM": "dumb", "LC_ALL": "C.UTF-8"}
"""Without ``bp``: completion must not need it."""
PROMPT = "READY"
"""Printed by a shell that edits a line: keys typed earlier would be edited by the terminal."""


def completed(shell, script, lines, folder):
    """What ``shell`` offers at the end of each line: sorted last components of paths, and words."""
    file = Path(folder) / f".script.{shell}"
    file.write_text(script)
    found = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](file, lines, folder)
    return {line: sorted({_plain(word) for word in words if word}) for line, words in zip(lines, found, strict=True)}


def _plain(word):
    word = re.sub(r"^--[\w-]+=(?=.)", "", word.strip())
    return PurePath(word).name if "/" in word else word


def _run(command, script, folder):
    environment = {**ENVIRONMENT, "HOME": str(folder)}
    done = subprocess.run(
        [*command, script], cwd=folder, env=environment, text=True, capture_output=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return [block.splitlines() for block in done.stdout.split("-- next\n")[:-1]]


def _bash(file, lines, folder):
    """Words are split as readline splits them: at ``=``, too."""
    asked = [f"source {file.name}"]
    for line in lines:
        words = re.findall(r"=|[^\s=]+", line) + [""] * line.endswith(" ")
        asked += [
            f"COMP_WORDS=({' '.join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1} COMPREPLY=()",
            f"$(complete -p {words[0]} | sed -E 's/.*-F ([^ ]+).*/\\1/')",
            r"printf '%s\n' ${COMPREPLY[@]+" + '"${COMPREPLY[@]}"} "-- next"',
        ]
    return _run(["bash", "--norc", "-uc"], "\n".join(asked), folder)


def _fish(file, lines, folder):
    asked = [f"source {file.name}"]
    asked += [f"complete -C {shlex.quote(line)} | string replace -r '\\t.*' ''; echo '-- next'" for line in lines]
    return _run(["fish", "--no-config", "-c"], "\n".join(asked), folder)


_ZSH = r"""
autoload -Uz compinit && compinit -D -u
source {file}
unsetopt beep prompt_sp
PS1=READY
zstyle ':completion:*' menu no
compadd() {{
    local -a hits
    if [[ ${{@[1,(i)(-|--)]}} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
    builtin compadd -A hits "$@"
    print -rl -- $hits >> {out}
    builtin compadd "$@"
}}
"""


def _zsh(file, lines, folder):
    """Its completion works only in the line editor, so the shell writes the offered words to a file."""
    setup, out = Path(folder) / ".setup.zsh", Path(folder) / ".added"
    setup.write_text(_ZSH.format(file=file.name, out=out.name))
    with Terminal(["zsh", "-f", "-i"], folder) as terminal:
        terminal.type("", until=PROMPT)
        terminal.type(f"source {setup.name}\n", until=f"\r.*{PROMPT}")
        found = []
        for number, line in enumerate(lines):
            out.write_text("")
            terminal.type(f"{line}\t\x15print end-{number}-$((1 + 1))\n", until=f"end-{number}-2\r.*{PROMPT}")
            found.append(out.read_text().splitlines())
    return found


class Terminal:
    """A shell at a terminal."""

    def __init__(self, command, folder):
        self.command, self.folder = command, folder

    def __enter__(self):
        self.controller, terminal = pty.openpty()
        environment = {**ENVIRONMENT, "HOME": str(self.folder), "PS1": PROMPT}
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.controller)

    def type(self, text, until):
        """Type; return what is shown until it matches."""
        os.write(self.controller, text.encode())
        shown, latest = "", time.monotonic() + 30
        while not re.search(until, shown, re.DOTALL):
            ready, _, _ = select.select([self.controller], [], [], max(0.0, latest - time.monotonic()))
            assert ready, f"{self.command[0]} shows {shown!r}, not {until!r}"
            shown += os.read(self.controller, 65536).decode(errors="replace")
        return shown
