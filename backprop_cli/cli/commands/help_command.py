"""``bp help``."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Argument, Context

from backprop_cli.cli.command import COMMANDS, command
from backprop_cli.cli.terminal import emit


@command("bp help train", name="help")
def help_(
    context: Context,
    name: Annotated[
        str | None,
        Argument(
            metavar="COMMAND",
            help="A command; default: bp itself.",
            show_default=False,
            autocompletion=lambda: [*COMMANDS],
        ),
    ] = None,
) -> None:
    """Show the help of a command."""
    root = context.find_root()
    if name is None:
        emit(root.get_help())
        return
    group: Any = root.command
    found = group.resolve_command(root, [name])[1]
    found.make_context(name, ["--help"], parent=root)
