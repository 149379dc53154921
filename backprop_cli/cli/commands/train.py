"""``bp train``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from backprop_cli.cli.command import Json, Overrides, Plugins, command, finish
from backprop_cli.cli.terminal import emit, emit_json, is_plain
from backprop_cli.errors import BpError


@command(
    "bp train configs/digits.yaml optimizer.learning_rate=1e-2",
    "bp train --resume runs/digits/latest training.epochs=60",
    codes=(3, 4, 5, 6, 129),
)
def train(
    config: Annotated[Path | None, Argument(metavar="CONFIG", help="Configuration file (YAML).")] = None,
    overrides: Overrides = None,
    resume: Annotated[
        Path | None, Option("--resume", metavar="RUN", help="Go on with this run at its last checkpoint.")
    ] = None,
    run_dir: Annotated[
        Path | None, Option("--run-dir", metavar="DIR", help="Directory of the run, new or empty.")
    ] = None,
    threads: Annotated[int | None, Option("--threads", metavar="N", min=1, help="BLAS threads.")] = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Check everything short of the first step; write nothing.")
    ] = False,
    quiet: Annotated[bool, Option("--quiet", help="No progress; warnings only.")] = False,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train a network and write a run directory."""
    from backprop_cli.stopwatch import PROCESS_BEGAN, Stopwatch

    watch = Stopwatch(PROCESS_BEGAN)

    from backprop_cli.jobs.train import train as job
    from backprop_cli.report.console import Console
    from backprop_cli.report.results import train_text

    watch.lap("import")
    given = list(overrides or [])
    if resume is not None and config is not None and "=" in str(config):
        # With --resume there is no CONFIG: the first word is an override like the others.
        given.insert(0, str(config))
        config = None
    with Console(sys.stderr, is_plain(sys.stderr), quiet) as console:
        try:
            result = job(
                config,
                given,
                resume=resume,
                run_dir=run_dir,
                threads=threads,
                dry_run=dry_run,
                plugins=list(plugins or []),
                on_event=console.show,
                watch=watch,
            )
        except BpError as error:
            console.record(str(error))  # printed where every error is
            raise
        text = train_text(result.to_json())
        console.record(text)
    if as_json:
        emit_json(result.to_json())
    else:
        emit(text)
    finish(result.exit_code)
