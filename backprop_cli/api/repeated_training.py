"""``bp train --folds K --seeds N``: one configuration trained several times, to see how sure its metrics are."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backprop_cli.api.train import TrainResult, new_run, train
from backprop_cli.config.dump import to_yaml
from backprop_cli.config.load import Loaded
from backprop_cli.config.resolve import resolved_tree
from backprop_cli.errors import BpError, InterruptionError, UsageError
from backprop_cli.inspection.predicted_rows import PredictedRows, predicted_rows, true_rows
from backprop_cli.inspection.prediction_writers import WRITERS
from backprop_cli.number_text import duration, number
from backprop_cli.run.directory import RunDirectory, resume_command
from backprop_cli.run.lock import locked
from backprop_cli.run.output import opened
from backprop_cli.session.checked_plugins import read_config, read_run_config, refuse_plugins
from backprop_cli.session.experiment import prepare
from backprop_cli.session.measured_data import own_dataset
from backprop_cli.session.outcome import exit_code_of, status_of
from backprop_cli.session.repeated import REPEATED, Repetition, Single, mean_of, summaries
from backprop_cli.session.run_record import timestamp
from backprop_cli.session.session import OnEvent
from backprop_cli.session.trained_network import open_network
from backprop_cli.training.events import Event, Warned

OnRun = Callable[[str], None]
"""Told a line about each run that has finished."""
PREDICTIONS = "predictions.csv"
"""The predictions of the rows of every fold, by a network that was not trained on them."""


def train_repeatedly(
    config: Path,
    overrides: Sequence[str],
    repetition: Repetition,
    *,
    run_dir: Path | None,
    threads: int | None,
    on_event: OnEvent,
    on_run: OnRun,
) -> TrainResult:
    """Train every run of ``repetition`` in a folder of one run directory. Raises: as ``train``."""
    loaded = read_config(config, overrides)
    first = repetition.runs(loaded.config.seed)[0]
    prepare(read_config(config, [*overrides, *first.overrides]))  # refuses before anything is written
    parent = new_run(loaded, run_dir)
    parent.checkpoints.rmdir()
    with locked(parent):
        parent.write_text(parent.config, loaded.text)
        parent.write_text(parent.resolved, to_yaml(resolved_tree(loaded, parent.path)))
        record = {
            "status": "running",
            "name": loaded.config.name,
            "argv": sys.argv,
            "overrides": list(loaded.overrides),
            "seed": loaded.config.seed,
            "start": timestamp(),
            REPEATED: repetition.to_json(),
        }
        return _trained(parent, record, plugins_of(loaded), threads, on_event, on_run)


def plugins_of(loaded: Loaded) -> list[Path]:
    """The files with code that the configuration names."""
    return [plugin.path for plugin in loaded.plugins]


def resume_repeatedly(
    parent: RunDirectory, plugins: Sequence[Path | str], *, threads: int | None, on_event: OnEvent, on_run: OnRun
) -> TrainResult:
    """Train the runs that have not finished, and none again that have. Raises: as ``train``."""
    loaded = read_run_config(parent, (), plugins)  # refuses code that is not given
    with locked(parent):
        return _trained(parent, parent.read_record(), plugins_of(loaded), threads, on_event, on_run)


def _trained(
    parent: RunDirectory,
    record: dict[str, Any],
    plugins: Sequence[Path],
    threads: int | None,
    on_event: OnEvent,
    on_run: OnRun,
) -> TrainResult:
    repetition = Repetition(**record[REPEATED])
    runs, told = repetition.runs(record["seed"]), set[str]()

    def listen(event: Event) -> None:
        if isinstance(event, Warned):
            kind = re.sub(r"\d[\d.,e+-]*", "#", event.message)  # a warning comes once, not with the figures of each run
            if kind not in told:
                told.add(kind)
                on_event(event)

    parent.write_record({**record, "status": "running", "exit_code": None, "reason": None, "end": None})
    lines: list[str] = []
    try:
        for single in runs:
            found = _run(parent, single, plugins, threads, listen)
            lines.append(_line(single, found))
            on_run(lines[-1])
            parent.write_text(parent.log, "\n".join(lines) + "\n")
        result = _result(parent, runs)
        if repetition.folds is not None:
            with opened(parent.path / PREDICTIONS) as stream:
                WRITERS["csv"](stream, _held_out(parent, runs, plugins))
    except BaseException as error:
        reason = str(error) if isinstance(error, BpError) else None
        ended = {"status": status_of(error), "exit_code": exit_code_of(error), "reason": reason, "end": timestamp()}
        parent.write_record({**record, **ended})
        if isinstance(error, InterruptionError):
            text = f"interrupted in run {len(lines) + 1} of {len(runs)}; everything is saved"
            signal_number = error.exit_code - 128
            raise InterruptionError(f"{text}; resume with: {resume_command(parent.path)}", signal_number) from error
        raise
    folds = {name: summary.to_json() for name, summary in result.folds.items()}
    ended = {"status": "finished", "exit_code": 0, "reason": None, "end": timestamp(), "metrics": result.metrics}
    counts = {"steps": result.steps, "epochs": result.epochs, "seconds": result.seconds}
    parent.write_record({**record, **ended, **counts, "baselines": result.baselines, "folds": folds})
    return result


def _run(
    parent: RunDirectory, single: Single, plugins: Sequence[Path], threads: int | None, listen: OnEvent
) -> Mapping[str, Any]:
    """The record of a run that has finished: of an earlier session, resumed, or new."""
    run = RunDirectory(parent.path / single.folder)
    if run.record.is_file() and run.read_record().get("status") == "finished":
        return run.read_record()
    if run.last.exists():
        train(resume=run.path, threads=threads, plugins=plugins, on_event=listen)
        return run.read_record()
    if run.path.is_dir():  # a run that was killed before its first checkpoint
        shutil.rmtree(run.path)
    train(parent.resolved, list(single.overrides), run_dir=run.path, threads=threads, on_event=listen)
    return run.read_record()


def _line(single: Single, record: Mapping[str, Any]) -> str:
    metrics = record["metrics"]
    names = [name for name in metrics if name.startswith("test/")] or list(metrics)
    values = "  ".join(f"{name} {number(metrics[name])}" for name in names)
    return f"{single.name}: {values}  ({record['epochs']} epochs, {duration(record['seconds'])})"


def _result(parent: RunDirectory, runs: Sequence[Single]) -> TrainResult:
    records = [RunDirectory(parent.path / single.folder).read_record() for single in runs]
    found = summaries([record["metrics"] for record in records])
    baselines = [record.get("baselines") or {} for record in records]
    common = [name for name in baselines[0] if all(name in each for each in baselines)]
    means = {
        name: {
            metric: mean_of([each[name][metric] for each in baselines])
            for metric in baselines[0][name]
            if all(each[name].get(metric) is not None for each in baselines)
        }
        for name in common
    }
    return TrainResult(
        run_dir=parent.path,
        status="finished",
        epochs=sum(record["epochs"] for record in records),
        steps=sum(record["steps"] for record in records),
        seconds=sum(record["seconds"] for record in records),
        metrics={name: summary.mean for name, summary in found.items()},
        baselines=means,
        checkpoints={"best": None, "last": None},
        folds=found,
    )


def _held_out(parent: RunDirectory, runs: Sequence[Single], plugins: Sequence[Path]) -> Iterator[PredictedRows]:
    """Every row that was in a test split, with its place in the file, its fold, its seed, its target and prediction."""
    for single in runs:
        saved = open_network(parent.path / single.folder, plugins=plugins)
        split = own_dataset(saved, saved.loaded.config.training.precision).splits["test"]
        with saved.threads():
            shown, _ = saved.evaluator().evaluate_with_predictions(split)
        places = np.arange(len(split)) if split.rows is None else split.rows
        given = {"row": places, "fold": np.full(len(split), single.fold), "seed": np.full(len(split), single.seed)}
        predicted = predicted_rows(saved, shown.outputs, proba=saved.recipe.loss.task.has_classes)
        yield PredictedRows(
            {**given, **true_rows(saved, shown.targets), **predicted.predictions}, predicted.probabilities
        )


def repeat(
    config: Path | str | None,
    overrides: Sequence[str],
    resume: Path | None,
    folds: int | None,
    seeds: int | None,
    given: Mapping[str, bool],
    *,
    run_dir: Path | None,
    plugins: Sequence[Path | str],
    threads: int | None,
    on_event: OnEvent,
    on_run: OnRun,
) -> TrainResult:
    """Several runs, new or resumed, as the arguments of ``train`` ask for. Raises: as ``train``.

    ``given``: the options that go with a single run only.
    """
    wrong = next((option for option, is_given in given.items() if is_given), None)
    if wrong is not None:
        raise UsageError(f"{wrong}: goes with a single run, not with several; leave it out")
    if resume is not None:
        if overrides or folds is not None or seeds is not None:
            raise UsageError(f"--resume {resume}: its runs are trained alike; leave overrides, --folds and --seeds out")
        run = RunDirectory.open(resume)
        return resume_repeatedly(run, plugins, threads=threads, on_event=on_event, on_run=on_run)
    least = 2 if folds is None else 1
    if folds is not None and folds < 2:
        raise UsageError(f"--folds {folds}: there must be at least 2")
    if seeds is not None and seeds < least:
        raise UsageError(f"--seeds {seeds}: there must be at least {least}")
    refuse_plugins(plugins, config or "")
    repetition = Repetition(folds, seeds or 1)
    return train_repeatedly(
        Path(config or ""), overrides, repetition, run_dir=run_dir, threads=threads, on_event=on_event, on_run=on_run
    )
