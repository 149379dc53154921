"""``bp predict``."""

from __future__ import annotations

import csv
import shlex
import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

import backprop_cli
from backprop_cli.cli.command import CheckpointPath, InputFormat, Plugins, command, resolve_checkpoint
from backprop_cli.cli.terminal import standard_output
from backprop_cli.errors import DataError, UsageError


@command(
    "bp predict runs/iris/latest datasets/iris.csv --output predictions.csv",
    "bp predict runs/iris/latest datasets/iris.csv --keep sepal_length,species -o predictions.csv",
    "cat datasets/iris.csv | bp predict runs/iris/latest - --proba > predictions.csv",
    codes=(3, 5, 6),
    group="Start here",
    order=3,
)
def predict(
    checkpoint: CheckpointPath,
    sources: Annotated[
        list[str] | None,
        Argument(metavar="INPUT|-", help="Files of rows without targets; - is standard input.", show_default=False),
    ] = None,
    output: Annotated[
        str, Option("--output", "-o", metavar="FILE|-", help="File for the predictions; - is standard output.")
    ] = "-",
    format_: Annotated[
        str | None, Option("--format", metavar="csv|jsonl|npz|parquet", help="Default: by FILE's suffix, else csv.")
    ] = None,
    input_format: InputFormat = None,
    proba: Annotated[bool, Option("--proba", help="Also write the probability of every class.")] = False,
    threshold: Annotated[
        float | None,
        Option("--threshold", metavar="P", help="Least probability of the second of two classes; default: one half."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        Option("--keep", metavar="COLUMN,...", help="Columns of INPUT to copy, before the predictions; repeatable."),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Predict rows of a file or of standard input, in their order."""
    is_piped = sources in (None, [], ["-"])
    if is_piped and sys.stdin is None:
        raise DataError("standard input: is closed; name a file")
    if not sources and sys.stdin.isatty():
        raise UsageError("predict: INPUT is missing; name a file, or - for standard input")
    if not is_piped and "-" in (sources or ()):
        raise UsageError("predict: - is standard input, which cannot be one of several files; name it alone")
    _refuse_swapped(checkpoint, None if is_piped else (sources or [""])[0])
    if format_ in ("npz", "parquet") and output == "-" and sys.stdout.isatty():
        raise UsageError(
            f"predict: {format_} is binary and would be printed on the terminal; name a file with --output"
        )
    backprop_cli.predict(
        resolve_checkpoint(checkpoint),
        sys.stdin.buffer if is_piped else [Path(source) for source in sources or ()],
        standard_output() if output == "-" else Path(output),
        input_format=input_format,
        format=format_,
        proba=proba,
        threshold=threshold,
        keep=[name for names in keep or () for name in next(csv.reader([names], skipinitialspace=True))],
        plugins=list(plugins or []),
    )
    sys.stdout.flush()


def _refuse_swapped(checkpoint: Path, source: str | None) -> None:
    """Raise UsageError if the data is named first, then the run."""
    if source is None or checkpoint.suffix == ".safetensors":
        return
    from backprop_cli.data.format import is_table

    if is_table(checkpoint) and not is_table(Path(source or "")):
        way_out = f"bp predict {shlex.quote(source or '')} {shlex.quote(str(checkpoint))}"
        raise UsageError(f"predict: the run comes first, then the data: {way_out}")
