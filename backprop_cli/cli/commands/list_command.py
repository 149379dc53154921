"""``bp list``."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

import backprop_cli
from backprop_cli.cli.command import Json, Plugins, command
from backprop_cli.cli.terminal import emit, emit_json


def _kinds() -> list[str]:
    from backprop_cli.api.list_types import REGISTRIES

    return list(REGISTRIES)


@command(
    "bp list layers",
    "bp list layers dense",
    "bp list layers --plugins configs/plugins/my_layers.py",
    codes=(3,),
    name="list",
)
def list_(
    kind: Annotated[
        str | None,
        Argument(
            metavar="KIND",
            help="layers, losses, optimizers, ...; default: list the kinds.",
            show_default=False,
            autocompletion=_kinds,
        ),
    ] = None,
    name: Annotated[
        str | None, Argument(metavar="NAME", help="A type of this kind: show its page.", show_default=False)
    ] = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """List types that a configuration can name, or show a page."""
    from backprop_cli.report.list_text import list_text

    found = backprop_cli.list_types(kind, name, plugins=list(plugins or []))
    if as_json:
        emit_json(found.to_json())
    else:
        emit(list_text(found))
