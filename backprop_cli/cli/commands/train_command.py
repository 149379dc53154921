"""``bp train``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

import backprop_cli
from backprop_cli.cli.command import AcceptChangedData, Json, Overrides, Plugins, command
from backprop_cli.cli.terminal import emit, emit_json, is_plain, say
from backprop_cli.errors import ConfigError, UsageError


@command(
    "bp train configs/digits.yaml optimizer.learning_rate=1e-2",
    "bp train --resume runs/digits/latest training.epochs=60",
    "bp train configs/iris.yaml --folds 5 --seeds 3",
    "bp train configs/digits.yaml --find-lr",
    codes=(3, 4, 5, 6, 129),
    group="Start here",
    order=2,
)
def train(
    config: Annotated[Path | None, Argument(metavar="CONFIG", help="Configuration file (YAML).")] = None,
    overrides: Overrides = None,
    resume: Annotated[
        Path | None, Option("--resume", metavar="RUN", help="Continue this run from its last checkpoint.")
    ] = None,
    run_dir: Annotated[
        Path | None, Option("--run-dir", metavar="DIR", help="Directory of the run, new or empty.")
    ] = None,
    threads: Annotated[
        int | None, Option("--threads", metavar="N", min=1, help="Number of threads for a step.")
    ] = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Check everything short of the first step; write nothing.")
    ] = False,
    max_seconds: Annotated[
        float | None,
        Option("--max-seconds", metavar="S", help="Stop after S seconds of training (training.max_seconds)."),
    ] = None,
    overfit_batches: Annotated[
        int | None,
        Option("--overfit-batches", metavar="N", help="Train and evaluate on only N batches, as a check."),
    ] = None,
    folds: Annotated[
        int | None,
        Option("--folds", metavar="K", min=2, help="Cross-validate: K runs, each tested on another part of the rows."),
    ] = None,
    seeds: Annotated[
        int | None, Option("--seeds", metavar="N", min=1, help="Train with N seeds, of each fold if there are folds.")
    ] = None,
    find_lr: Annotated[
        bool, Option("--find-lr", help="Search for a learning rate instead (range test); write no run.")
    ] = False,
    low: Annotated[
        float | None, Option("--from", metavar="RATE", help="First rate of --find-lr; default: 1e-7.")
    ] = None,
    high: Annotated[float | None, Option("--to", metavar="RATE", help="Last rate of --find-lr; default: 10.")] = None,
    plot: Annotated[
        Path | None, Option("--plot", metavar="FILE.png", help="Draw the result of --find-lr; needs the extra [plot].")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", help="No progress; warnings only.")] = False,
    accept_changed_data: AcceptChangedData = False,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train a network and write a run directory."""
    from backprop_cli.stopwatch import PROCESS_BEGAN, Stopwatch

    watch = Stopwatch(PROCESS_BEGAN)
    run_training = backprop_cli.train
    from backprop_cli.report.console import Console
    from backprop_cli.report.results import train_text

    watch.lap("import")
    options = {
        f"training.{key}={value}": f"--{key.replace('_', '-')} {value:g}"
        for key, value in {"max_seconds": max_seconds, "overfit_batches": overfit_batches}.items()
        if value is not None
    }
    given = [*(overrides or []), *options]
    if resume is not None and config is not None and "=" in str(config):
        # --resume takes no CONFIG, so the first word is an override like the others.
        given.insert(0, str(config))
        config = None
    if find_lr:
        several = {"--folds": folds is not None, "--seeds": seeds is not None}
        _refuse("--find-lr writes no run", {"--run-dir": run_dir is not None, "--dry-run": dry_run, **several})
        shared = {"resume": resume, "threads": threads, "accept_changed_data": accept_changed_data}
        with _as_typed(options):
            _find_lr(config, given, (low, high), plot, quiet, as_json, plugins=list(plugins or []), **shared)
        return
    _refuse("is for --find-lr", {"--from": low is not None, "--to": high is not None, "--plot": plot is not None})
    with _as_typed(options), Console(sys.stderr, is_plain(sys.stderr), quiet) as console:
        result = run_training(
            config,
            given,
            resume=resume,
            run_dir=run_dir,
            threads=threads,
            dry_run=dry_run,
            accept_changed_data=accept_changed_data,
            plugins=list(plugins or []),
            on_event=console.show,
            watch=watch,
            folds=folds,
            seeds=seeds,
            on_run=None if quiet else say,
        )
    if as_json:
        emit_json(result.to_json())
    else:
        emit(train_text(result))


@contextmanager
def _as_typed(options: Mapping[str, str]) -> Iterator[None]:
    """In a ConfigError name the options that were typed, instead of the overrides that they stand for."""
    try:
        yield
    except ConfigError as error:
        named = [each._replace(override=options.get(each.override or "", each.override)) for each in error.problems]
        typed = ConfigError(named)
        typed.details = error.details
        raise typed from error


def _refuse(reason: str, options: dict[str, bool]) -> None:
    """Raise UsageError for an option that is given and does not go with the others."""
    for option, is_given in options.items():
        if is_given:
            raise UsageError(f"{option}: {reason}; leave it out")


def _find_lr(
    config: Path | None,
    overrides: list[str],
    span: tuple[float | None, float | None],
    plot: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the range test. ``options``: further arguments of ``backprop_cli.find_lr``."""
    from backprop_cli.api.find_lr import HIGHEST, LOWEST
    from backprop_cli.report.picture import check_picture, encoded
    from backprop_cli.report.progress import Progress
    from backprop_cli.report.range_chart import range_figure, range_text
    from backprop_cli.run.output import opened

    if plot is not None:
        check_picture(plot, "--plot")
    low, high = (
        given if given is not None else default for given, default in zip(span, (LOWEST, HIGHEST), strict=True)
    )
    with Progress(sys.stderr, quiet or is_plain(sys.stderr)) as progress:
        result = backprop_cli.find_lr(config, overrides, low=low, high=high, on_progress=progress, **options)
    if plot is not None:
        with opened(plot) as stream:
            stream.write(encoded(range_figure(result), plot.suffix))
        say(f"plot {plot}")
    if as_json:
        emit_json(result.to_json())
    else:
        emit(range_text(result))
