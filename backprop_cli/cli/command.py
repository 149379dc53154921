"""What commands are made of: the decorator that registers one, and the arguments that several share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from backprop_cli.cli.exit_codes import exit_code_block

Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True)
class Command:
    """A subcommand: its name, function, and the text below its help."""

    name: str
    function: Callable[..., None]
    epilog: str


COMMANDS: dict[str, Command] = {}


def command(*examples: str, codes: tuple[int, ...] = (), name: str | None = None) -> Callable[[Function], Function]:
    """Decorator: a function is a subcommand of its name; its docstring's one line says what it does.

    ``codes`` are the exit codes it has beside those of any command.
    """

    def register(function: Function) -> Function:
        word = name or function.__name__
        # \b keeps click from filling the lines.
        blocks = ["\n".join(["Example:", *(f"  {line}" for line in examples)]), exit_code_block(codes)]
        COMMANDS[word] = Command(word, function, "\n\n".join(f"\b\n{block}" for block in blocks))
        return function

    return register


Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Override a configuration key: optimizer.learning_rate=1e-2"),
]
Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration file (YAML).", show_default=False)]
CheckpointPath = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT|RUN", help="A checkpoint, or a run: its best or else last checkpoint.", show_default=False
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugins", metavar="FILE", help="Python file with types of your own: it is run. May be repeated."),
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
    """As ``resolve_checkpoint`` for a directory; anything else, a configuration perhaps, is itself."""
    try:
        is_folder = path.is_dir()
    except OSError:  # the name is too long; opening it reports that
        return path
    return resolve_checkpoint(path) if is_folder else path


def resolve_checkpoint(path: Path) -> Path:
    """The checkpoint that a directory means, said on standard error; a file is itself.

    Raises: CheckpointError when there is none.
    """
    from backprop_cli.cli.terminal import say
    from backprop_cli.run.checkpoint import find_checkpoint

    found = find_checkpoint(path)
    if found != path:
        say(f"checkpoint {found}")
    return found
