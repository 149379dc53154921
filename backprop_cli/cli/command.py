"""The decorator that makes a function a command, the arguments that commands share, and their exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, TypeVar, get_args

import typer

EXIT_CODES = MappingProxyType(
    {
        0: "done",
        1: "internal error: a bug in bp, with a traceback",
        2: "usage or configuration",
        3: "a check said no",
        4: "training diverged: a number is not finite",
        5: "checkpoint missing, corrupt or of another network",
        6: "data",
        129: "the terminal was closed (SIGHUP)",
        130: "interrupted by Ctrl-C (SIGINT)",
        143: "ended by SIGTERM",
    }
)
ALWAYS = (0, 1, 2, 130, 143)
"""The exit codes that every command can have."""


def help_ending(examples: Iterable[str], exit_codes: Iterable[int], notes: str = "") -> str:
    """The text below the options of a help: examples, notes, exit codes."""
    codes = [f"  {code:>3}  {EXIT_CODES[code]}" for code in exit_codes]
    blocks = ["\n".join(["Example:", *(f"  {line}" for line in examples)]), notes, "\n".join(["Exit codes:", *codes])]
    # \b keeps the parser from refilling the lines.
    return "\n\n".join(f"\b\n{block}" for block in blocks if block)


Function = TypeVar("Function", bound=Callable[..., None])


Group = Literal["Start here", "Use a trained network", "Look inside", "Check", "More"]
"""The headings of ``bp --help``, in their order."""


class Command(NamedTuple):
    """A subcommand: its name, its function, and what its help and that of ``bp`` say about it."""

    name: str
    function: Callable[..., None]
    examples: tuple[str, ...]
    codes: tuple[int, ...]
    group: Group
    order: int
    notes: str

    @property
    def summary(self) -> str:
        """What it does, on one line."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def all_codes(self) -> list[int]:
        """Its exit codes, with those that every command has."""
        return sorted({*ALWAYS, *self.codes})

    @property
    def place(self) -> tuple[int, int, str]:
        """The key that sorts commands as ``bp --help`` lists them."""
        return get_args(Group).index(self.group), self.order, self.name


COMMANDS: dict[str, Command] = {}


def command(
    *examples: str,
    codes: tuple[int, ...] = (),
    name: str | None = None,
    group: Group = "More",
    order: int = 0,
    notes: str = "",
) -> Callable[[Function], Function]:
    """Decorator: the function is a subcommand under its own name, with its docstring as the help.

    ``codes``: its exit codes, in addition to those that every command has. ``group`` and ``order``: where ``bp --help``
    lists it; commands of one order are sorted by name. ``notes``: lines of its help between examples and exit codes.
    """

    def register(function: Function) -> Function:
        word = name or function.__name__
        COMMANDS[word] = Command(word, function, examples, codes, group, order, notes)
        return function

    return register


def keys() -> list[str]:
    """The keys that can be overridden, for the completion of words in a shell."""
    from backprop_cli.cli.candidates import override_keys

    return override_keys()


def splits() -> list[str]:
    """The names of splits, for the completion of words in a shell."""
    return ["train", "validation", "test"]


def formats() -> list[str]:
    """The formats of data files, for the completion of words in a shell."""
    from backprop_cli.data.format import FORMATS

    return list(FORMATS)


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Override a configuration key: optimizer.learning_rate=1e-2",
        autocompletion=keys,
    ),
]
CheckpointPath = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT|RUN", help="A checkpoint, or a run: its best or else last checkpoint.", show_default=False
    ),
]
Target = Annotated[
    Path,
    typer.Argument(metavar="CONFIG|CHECKPOINT|RUN", help="A configuration, a checkpoint or a run.", show_default=False),
]
InputFormat = Annotated[
    str | None,
    typer.Option(
        "--input-format",
        metavar="FORMAT",
        help="Format of INPUT; default: by its suffix, or csv for standard input.",
        autocompletion=formats,
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugins", metavar="FILE.py", help="Python file with your own types; it is executed. May be repeated."
    ),
]
AcceptChangedData = Annotated[
    bool, typer.Option("--accept-changed-data", help="Accept the run's data files even if they have changed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")]


def finish(code: int) -> None:
    """End the command with this exit code."""
    if code:
        raise typer.Exit(code)


def resolve_folder(path: Path) -> Path:
    """``resolve_checkpoint`` for a directory; any other path, such as a configuration, unchanged."""
    try:
        is_folder = path.is_dir()
    except OSError:  # a name that is too long; opening it reports that
        return path
    return resolve_checkpoint(path) if is_folder else path


def resolve_checkpoint(path: Path) -> Path:
    """The checkpoint in a directory, which is printed on standard error; a file is returned unchanged.

    Raises: CheckpointError if the directory has none.
    """
    from backprop_cli.cli.terminal import say
    from backprop_cli.run.checkpoint import find_checkpoint

    found = find_checkpoint(path)
    if found != path:
        say(f"checkpoint {found}")
    return found
