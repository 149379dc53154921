"""``bp export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

import backprop_cli
from backprop_cli.cli.command import CheckpointPath, Json, Plugins, command, resolve_checkpoint
from backprop_cli.cli.terminal import emit, emit_json


def exporters() -> list[str]:
    """The formats of exported networks, for the completion of words in a shell."""
    from backprop_cli.exporting.exporter import EXPORTERS

    return list(EXPORTERS)


@command(
    "bp export runs/iris/latest --to c -o iris.c",
    "bp export runs/iris/latest --to c -o iris.c --with jacobian --precision float64",
    codes=(3, 5),
    group="Use a trained network",
)
def export(
    checkpoint: CheckpointPath,
    output: Annotated[Path, Option("--output", "-o", metavar="FILE", help="The file to write.")],
    to: Annotated[
        str | None,
        Option("--to", metavar="FORMAT", help="Format; default: by FILE's suffix.", autocompletion=exporters),
    ] = None,
    with_: Annotated[
        list[str] | None,
        Option("--with", metavar="PART", help="Also write jacobian, hessian-vector or training. May be repeated."),
    ] = None,
    precision: Annotated[
        Literal["float32", "float64"] | None,
        Option("--precision", metavar="PRECISION", help="float32 or float64; default: that of the training."),
    ] = None,
    weights: Annotated[
        Path | None, Option("--weights", metavar="FILE", help="Write the weights to a file of their own.")
    ] = None,
    batch: Annotated[
        int | None,
        Option("--batch", metavar="N", min=1, help="Examples of a step or Hessian product; default: the training's."),
    ] = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Write a trained network in another format, such as C."""
    from backprop_cli.report.results import export_text

    result = backprop_cli.export(
        resolve_checkpoint(checkpoint),
        output,
        to=to,
        parts=list(with_ or []),
        precision=precision,
        weights=weights,
        batch=batch,
        plugins=list(plugins or []),
    )
    if as_json:
        emit_json(result.to_json())
    else:
        emit(export_text(result))
