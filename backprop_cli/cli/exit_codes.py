"""What each exit code means to a script; the text below every command's help."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

EXIT_CODES = MappingProxyType(
    {
        0: "done",
        1: "internal error: a bug in bp, with a traceback",
        2: "usage or configuration",
        3: "a check said no",
        4: "training diverged: a number is not finite any more",
        5: "checkpoint missing, corrupt or of another network",
        6: "data",
        129: "the terminal was closed (SIGHUP)",
        130: "interrupted by Ctrl-C (SIGINT)",
        143: "ended by SIGTERM",
    }
)
ALWAYS = (0, 1, 2, 130, 143)
"""What any command may end with."""


def exit_code_block(own: Iterable[int] = ()) -> str:
    """The lines under ``Exit codes:``: those of any command and a command's ``own``."""
    codes = sorted({*ALWAYS, *own})
    return "\n".join(["Exit codes:", *(f"  {code:>3}  {EXIT_CODES[code]}" for code in codes)])
