"""``bp cache``."""

from __future__ import annotations

from typing import Annotated, Literal

from typer import Argument

import backprop_cli
from backprop_cli.cli.command import Json, command
from backprop_cli.cli.terminal import emit, emit_json


@command("bp cache", "bp cache clean")
def cache(
    action: Annotated[Literal["show", "clean"], Argument(help="Print what is kept, or remove it.")] = "show",
    as_json: Json = False,
) -> None:
    """Show or remove compiled steps and other work kept for later."""
    from backprop_cli.report.results import cache_text

    result = backprop_cli.cached(clean=action == "clean")
    if as_json:
        emit_json(result.to_json())
    else:
        emit(cache_text(result, removed=action == "clean"))
