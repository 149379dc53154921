"""``bp train``: a configuration becomes a run."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from backprop_cli.api.arguments import as_path, one_or_many
from backprop_cli.config.load import Loaded
from backprop_cli.errors import BpError, UsageError
from backprop_cli.json_object import JsonObject
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.lock import locked, refuse_locked
from backprop_cli.session.baselines import Baselines
from backprop_cli.session.checked_plugins import read_config, refuse_plugins
from backprop_cli.session.compilation import compiles
from backprop_cli.session.data_changes import check_acceptance
from backprop_cli.session.outcome import Best
from backprop_cli.session.repeated import REPEATED, Summary
from backprop_cli.session.session import OnEvent, Session, first_warnings
from backprop_cli.session.start import start
from backprop_cli.session.threads import blas_threads
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.loop import Trainer


class TrainResult(JsonObject, kw_only=True):
    """How a run ended."""

    json_optional: ClassVar = ("baselines", "no_linear", "folds")

    run_dir: Path | None = None
    """The run directory; null after ``--dry-run``."""
    status: str
    """``finished``, or ``dry run``."""
    epochs: int = 0
    """Completed epochs of the run, those before a resumption included."""
    steps: int = 0
    """Steps of the run, likewise."""
    seconds: float = 0.0
    """Seconds in the loop of training, all sessions of the run together."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the kept model by full name, such as ``test/accuracy``."""
    baselines: Baselines = field(default_factory=dict)
    """The same metrics of the baselines: simple predictions such as the mean, and a linear network."""
    no_linear: str = ""
    """The reason for the lack of a linear baseline, or empty."""
    best: Best | None = None
    """The best checkpoint; null if the run has none."""
    checkpoints: Mapping[str, str | None] = field(default_factory=dict)
    """Paths of the ``best`` and the ``last`` checkpoint; null for one that the run lacks."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds of this process by purpose, and their ``total``; parts that did not occur are left out."""
    folds: Mapping[str, Summary] = field(default_factory=dict)
    """With ``--folds`` or ``--seeds``: each metric over all runs. ``metrics`` are the means, other counts are sums."""


@one_or_many
def train(
    config: Path | str | None = None,
    overrides: Sequence[str] = (),
    *,
    resume: Path | str | None = None,
    run_dir: Path | str | None = None,
    threads: int | None = None,
    dry_run: bool = False,
    accept_changed_data: bool = False,
    plugins: Sequence[Path | str] = (),
    on_event: OnEvent | None = None,
    watch: Stopwatch | None = None,
    folds: int | None = None,
    seeds: int | None = None,
    on_run: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train a network from a configuration file, or continue a run.

    ``resume`` is a run, continued from its last checkpoint, or a checkpoint in its ``checkpoints/``.
    ``plugins`` are files with code that the run to resume needs; a configuration names its own. A run whose data files
    have changed is resumed only with ``accept_changed_data``.
    ``overrides`` are ``KEY=VALUE`` texts. ``on_event`` is called with every event, in the main thread. Of steps those
    are events that the configuration asks for (``log.every_steps``, ``checkpoint.every_steps``,
    ``every_steps`` and ``adjoint_every_steps`` of ``gradient_check``), the last one of an epoch, and one every 20 ms:
    ``log.every_steps=1`` makes every step an event.
    ``folds`` and ``seeds`` train several runs in folders of one run directory, and give the mean of each metric with
    an interval: every fold is the test split once, with each of the seeds. Of their events ``on_event`` gets the
    warnings; ``on_run`` gets a line about each run that has finished.
    ``watch`` may already have counted earlier work, such as the imports of a command. It gives the result's
    ``timings``.

    Raises:
        UsageError: arguments exclude each other, or another process trains in the run's directory.
        ConfigError: the configuration is wrong, or an override makes the run to resume a different one; nothing was
            run or written.
        DataError: the data cannot be used, or the data of the run to resume has changed.
        CheckpointError: the run to resume, or the checkpoint to start from, is missing, damaged or of another network,
            or a checkpoint could not be written.
        CheckError: a plugin's gradient is wrong; or the network's, and ``gradient_check.on_failure`` is ``stop``.
        DivergenceError: loss or weights are no longer finite; the last good checkpoint stays.
        InterruptionError: SIGINT, SIGTERM or SIGHUP; the state is saved and ``resume`` continues from it.

    """
    if (config is None) == (resume is None):
        raise UsageError("train: give either a CONFIG or --resume RUN")
    if resume is not None and run_dir is not None:
        raise UsageError("train: --run-dir is for a new run; --resume continues in the run's own directory")
    resume, run_dir = as_path(resume), as_path(run_dir)
    check_acceptance(accept_changed_data, resume)
    if folds is not None or seeds is not None or (resume is not None and is_repeated(resume)):
        # Imported here: few commands repeat a training, and this module takes a start some milliseconds.
        from backprop_cli.api.repeated_training import repeat

        given = {"--dry-run": dry_run, "--accept-changed-data": accept_changed_data}
        return repeat(
            config,
            overrides,
            resume,
            folds,
            seeds,
            given,
            run_dir=run_dir,
            plugins=plugins,
            threads=threads,
            on_event=on_event or (lambda event: None),
            on_run=on_run or (lambda line: None),
        )
    watch, on_event, resumption = watch or Stopwatch(), on_event or (lambda event: None), None
    with contextlib.ExitStack() as stack:
        if resume is None:
            with watch("configuration"):
                refuse_plugins(plugins, config or "")
                loaded = read_config(Path(config or ""), overrides)
        else:
            from backprop_cli.session.resumption import find_run, open_run

            run, path = find_run(resume)
            if dry_run:
                refuse_locked(run)
            else:
                stack.enter_context(locked(run))
            with watch("configuration"):
                resumption = open_run(run, path, overrides, plugins, accept_changed_data)
                loaded = resumption.loaded
        experiment, spec, state = start(loaded, resumption, threads, watch)
        was_compiled = None if resumption is None else resumption.record.get("compiled")
        spec = dataclasses.replace(spec, compiled=compiles(loaded, spec, was_compiled))
        stack.enter_context(blas_threads(spec.blas_threads))
        notices = [] if resumption is None else resumption.notices(experiment, spec, threads)
        if dry_run:
            for warning in first_warnings(experiment, spec, resumption is not None, notices):
                on_event(warning)
            Trainer(spec, state, watch).warm_up()
            return TrainResult(status="dry run", timings=watch.seconds())
        if resumption is None:
            run = new_run(loaded, run_dir)
            stack.enter_context(locked(run))
            run.write_text(run.config, loaded.text)
        session = Session(experiment, spec, state, run, on_event, watch, resumption, notices)
        return _result(session, session.run_all())


def _result(session: Session, metrics: Mapping[str, float]) -> TrainResult:
    return TrainResult(
        run_dir=session.run.path,
        status="finished",
        epochs=session.epochs,
        steps=session.state.step,
        seconds=session.state.seconds,
        metrics=metrics,
        baselines=session.baselines.metrics,
        no_linear=session.baselines.no_linear,
        best=session.best(),
        checkpoints=session.checkpoints(),
        timings=session.watch.seconds(),
    )


def is_repeated(target: Path) -> bool:
    """Whether the run directory ``target`` holds several runs of one configuration."""
    try:
        return target.is_dir() and REPEATED in RunDirectory.open(target).read_record()
    except (BpError, OSError, ValueError):  # opening the run to resume reports it
        return False


def new_run(loaded: Loaded, run_dir: Path | None) -> RunDirectory:
    """The directory of a new run, at ``run_dir`` or where the configuration says. Raises: UsageError."""
    if run_dir is not None:
        return RunDirectory.create_at(run_dir)
    return RunDirectory.create(Path(loaded.config.run.directory), loaded.config.name, datetime.now(UTC))
