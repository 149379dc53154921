"""``bp train``: a configuration becomes a run."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from backprop_cli.config.load import Loaded
from backprop_cli.errors import UsageError
from backprop_cli.run.directory import RunDirectory
from backprop_cli.run.lock import locked, refuse_locked
from backprop_cli.session.checked_plugins import read_config, refuse_plugins
from backprop_cli.session.compilation import compiles
from backprop_cli.session.configured_job import job_for, measures_of
from backprop_cli.session.preparation import Prepared, prepare
from backprop_cli.session.resume import Resumed, check_acceptance, find_run, open_run
from backprop_cli.session.session import OnEvent, Session, first_warnings
from backprop_cli.session.start import first_state
from backprop_cli.session.threads import blas_threads, share_out
from backprop_cli.session.train_result import TrainResult
from backprop_cli.stopwatch import Stopwatch
from backprop_cli.training.events import Event
from backprop_cli.training.job import Job
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State


def train(
    config: Path | str | None = None,
    overrides: Sequence[str] = (),
    *,
    resume: Path | None = None,
    run_dir: Path | None = None,
    threads: int | None = None,
    dry_run: bool = False,
    accept_changed_data: bool = False,
    plugins: Sequence[Path | str] = (),
    on_event: OnEvent | None = None,
    watch: Stopwatch | None = None,
) -> TrainResult:
    """Train a network from a configuration file, or go on with a run.

    ``resume`` is a run, which goes on from its last checkpoint, or a checkpoint in its ``checkpoints/``.
    ``plugins`` are files with code that the run to resume needs; a configuration names its own. A run whose data files
    have changed is resumed only with ``accept_changed_data``.
    ``overrides`` are ``KEY=VALUE`` texts. ``on_event`` is called with every event, in the main thread. Of steps those
    are events that the configuration asks for (``log.every_steps``, ``checkpoint.every_steps``,
    ``every_steps`` and ``adjoint_every_steps`` of ``gradient_check``), the last one of an epoch, and one every 20 ms:
    ``log.every_steps=1`` makes all.
    ``watch`` has been counting what came before (the imports of a command); the result's ``timings`` are its.

    Raises:
        UsageError: arguments that do not go together, or another process trains in the run's directory.
        ConfigError: the configuration is wrong, or an override makes another run of the one to resume; nothing was
            run or written.
        DataError: the data cannot be used, or the data of the run to resume has changed.
        CheckpointError: the run to resume, or the checkpoint to start from, is missing, damaged or of another network,
            or a checkpoint could not be written.
        CheckError: a plugin's gradient is wrong; or the network's, and ``gradient_check.on_failure`` is ``stop``.
        DivergenceError: loss or weights are not finite any more; the last good checkpoint stays.
        InterruptionError: SIGINT, SIGTERM or SIGHUP; the state is saved and ``resume`` goes on from it.

    """
    if (config is None) == (resume is None):
        raise UsageError("train: give either a CONFIG or --resume RUN")
    if resume is not None and run_dir is not None:
        raise UsageError("train: --run-dir is for a new run; --resume goes on in the run's own directory")
    check_acceptance(accept_changed_data, resume)
    ask = _Request(run_dir, threads, dry_run, on_event or _ignore, watch or Stopwatch())
    if resume is None:
        with ask.watch("configuration"):
            refuse_plugins(plugins, config or "")
            loaded = read_config(Path(config or ""), overrides)
        return _carry_out(ask, loaded, None)
    run, path = find_run(resume)
    if dry_run:
        refuse_locked(run)
    with contextlib.nullcontext() if dry_run else locked(run):
        with ask.watch("configuration"):
            resumed = open_run(run, path, overrides, plugins, accept_changed_data)
        return _carry_out(ask, resumed.loaded, resumed)


@dataclass(frozen=True)
class _Request:
    """What ``train`` was asked beside the configuration."""

    run_dir: Path | None
    threads: int | None
    dry_run: bool
    on_event: OnEvent
    watch: Stopwatch


@dataclass(frozen=True)
class Begun:
    """All that training begins with."""

    prepared: Prepared
    job: Job
    state: State
    threads: int  # of BLAS
    restarted: Sequence[str] = ()  # what of a resumed run's memory starts anew, a line each


def begin(loaded: Loaded, resumed: Resumed | None, threads: int | None, watch: Stopwatch) -> Begun:
    """Data, network and state of a configuration, or of a run to go on with; nothing is written."""
    with watch("data"):
        prepared = prepare(loaded) if resumed is None else resumed.prepare()
        loaded = prepared.loaded
    restarted: Sequence[str] = ()
    if resumed is None:
        state = first_state(loaded, prepared.recipe, prepared.dataset)
        state.measures = measures_of(loaded.config, list(prepared.dataset.files.values()))
    else:
        state = State.start(prepared.recipe, loaded.config.seed)
        restarted = resumed.restore(prepared, state)
    settings = loaded.config.training
    batch = min(settings.batch_size, len(prepared.dataset.train))
    kept = resumed.threads(batch) if resumed is not None and threads is None else None
    shared = kept or share_out(threads or settings.threads, prepared.recipe, batch)
    job = dataclasses.replace(job_for(prepared), workers=shared.workers)
    return Begun(prepared, job, state, shared.blas, restarted)


def _carry_out(ask: _Request, loaded: Loaded, resumed: Resumed | None) -> TrainResult:
    begun = begin(loaded, resumed, ask.threads, ask.watch)
    prepared, job, state, threads = begun.prepared, begun.job, begun.state, begun.threads
    before = None if resumed is None else resumed.record.get("compiled")
    job = dataclasses.replace(job, compiled=compiles(loaded, job, before))
    with blas_threads(threads):
        notices = [] if resumed is None else [*begun.restarted, *resumed.notices(prepared, job, threads, ask.threads)]
        if ask.dry_run:
            for warning in first_warnings(prepared, job, resumed is not None, notices):
                ask.on_event(warning)
            Trainer(job, state, ask.watch).warm_up()
            return TrainResult("dry run", timings=ask.watch.seconds())
        if resumed is not None:
            session = Session(prepared, job, state, resumed.run, threads, ask.on_event, resumed, ask.watch, notices)
            return session.run_all()
        run = _new_run(loaded, ask.run_dir)
        with locked(run):
            run.write_text(run.config, loaded.text)
            return Session(prepared, job, state, run, threads, ask.on_event, None, ask.watch).run_all()


def _ignore(event: Event) -> None:
    """No one listens."""


def _new_run(loaded: Loaded, run_dir: Path | None) -> RunDirectory:
    if run_dir is not None:
        return RunDirectory.create_at(run_dir)
    return RunDirectory.create(Path(loaded.config.run.directory), loaded.config.name, datetime.now(UTC))
