"""``bp eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

import backprop_cli
from backprop_cli.cli.command import (
    AcceptChangedData,
    CheckpointPath,
    Json,
    Overrides,
    Plugins,
    command,
    resolve_checkpoint,
    splits,
)
from backprop_cli.cli.terminal import emit, emit_json, say


@command(
    "bp eval runs/digits/latest --require 'accuracy>=0.95'",
    "bp eval runs/iris/latest --data datasets/iris.csv --confusion",
    codes=(3, 5, 6),
    name="eval",
    group="Use a trained network",
)
def evaluate(
    checkpoint: CheckpointPath,
    overrides: Overrides = None,
    split: Annotated[
        str, Option("--split", metavar="SPLIT", autocompletion=splits, help="train, validation or test.")
    ] = "test",
    data: Annotated[
        Path | None, Option("--data", metavar="FILE", help="Evaluate on this file instead of the run's own data.")
    ] = None,
    require: Annotated[
        list[str] | None,
        Option("--require", metavar="METRIC>=VALUE", help="Exit with 3 unless this holds; may be repeated."),
    ] = None,
    confusion: Annotated[bool, Option("--confusion", help="Show the confusion matrix.")] = False,
    bootstrap: Annotated[
        int | None,
        Option(
            "--bootstrap", metavar="N", min=2, help="Show 95 % intervals of the metrics, from N samples of the rows."
        ),
    ] = None,
    accept_changed_data: AcceptChangedData = False,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Compute a checkpoint's metrics on a split or on other data."""
    from backprop_cli.report.results import eval_text

    result = backprop_cli.evaluate(
        resolve_checkpoint(checkpoint),
        list(overrides or []),
        split=split,
        data=data,
        require=list(require or []),
        confusion=confusion,
        bootstrap=bootstrap,
        accept_changed_data=accept_changed_data,
        plugins=list(plugins or []),
    )
    for warning in result.warnings:
        say(f"warning: {warning}")
    if not as_json:
        emit(eval_text(result))
    result.check()
    if as_json:
        emit_json(result.to_json())
