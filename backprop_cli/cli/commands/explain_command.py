"""``bp explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

import backprop_cli
from backprop_cli.cli.command import Json, Overrides, Plugins, Target, command, resolve_folder
from backprop_cli.cli.terminal import emit, emit_json, say, standard_output
from backprop_cli.errors import UsageError
from backprop_cli.visible import terminal_width


@command(
    "bp explain configs/iris.yaml", "bp explain configs/iris.yaml --dot iris.dot", codes=(3, 5, 6), group="Look inside"
)
def explain(
    target: Target,
    overrides: Overrides = None,
    numbers: Annotated[
        bool, Option("--numbers", help="Walk the first training example forward and back (small networks).")
    ] = False,
    dot: Annotated[
        str | None, Option("--dot", metavar="FILE|-", help="Write the graph of operations for Graphviz.")
    ] = None,
    mermaid: Annotated[
        bool, Option("--mermaid", help="Print the graph of operations for Mermaid, nothing else.")
    ] = False,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Show a network's chain rule and what it costs."""
    if mermaid and as_json:
        raise UsageError("explain: --mermaid and --json both print to standard output; choose one")
    if dot == "-" and (mermaid or as_json):
        raise UsageError("explain: --dot - prints to standard output alone; name a file")
    from backprop_cli.report import diagrams
    from backprop_cli.report.explain_text import explain_text
    from backprop_cli.run.output import opened

    result = backprop_cli.explain(
        resolve_folder(target), list(overrides or []), numbers=numbers, plugins=list(plugins or [])
    )
    if dot is not None:
        with opened(standard_output() if dot == "-" else Path(dot)) as stream:
            stream.write((diagrams.dot(result.nodes) + "\n").encode())
        if dot != "-":
            say(f"graph {dot}")
    if as_json:
        emit_json(result.to_json())
    elif mermaid:
        emit(diagrams.mermaid(result.nodes))
    elif dot != "-":
        emit(explain_text(result, terminal_width()))
