"""A run to resume: its checkpoint, the changes of data and machine, and the overrides that it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from backprop_cli.config.changes import Change, changes
from backprop_cli.config.configuration import Config
from backprop_cli.config.load import Loaded
from backprop_cli.config.locate import in_file_order
from backprop_cli.errors import CheckpointError, ConfigError, DataError, Problem, TreePath, path_text
from backprop_cli.execution.compiler import compiler_obstacle, compiler_text
from backprop_cli.files import exists
from backprop_cli.run.checkpoint import DamagedError
from backprop_cli.run.checkpointer import newest_whole
from backprop_cli.run.directory import RunDirectory, resume_command
from backprop_cli.run.environment import differences, environment
from backprop_cli.run.journal import Row, read_journal, seconds_until
from backprop_cli.session.data_changes import ACCEPT, changed
from backprop_cli.session.experiment import Experiment, file_hashes, prepare
from backprop_cli.session.monitors import measures_of
from backprop_cli.session.threads import TOO_MANY, Threads
from backprop_cli.session.trained_network import TrainedNetwork, read_network
from backprop_cli.settings import Settings
from backprop_cli.structs import Struct
from backprop_cli.training.stale_memory import forget_stale
from backprop_cli.training.state import State
from backprop_cli.training.training_spec import TrainingSpec

T = TypeVar("T", bound=Settings)


class Resumption(Struct):
    """A run to resume, and its checkpoint to start from."""

    run: RunDirectory
    network: TrainedNetwork
    record: dict[str, Any]
    rows: Sequence[Row] = ()
    """Rows of the journal."""
    accepts: bool = False
    """Whether changed data is accepted."""
    forgotten: list[str] = field(default_factory=list)
    """Remarks on entries of ``State.memory`` that start anew; ``state`` fills them in."""

    @cached_property
    def loaded(self) -> Loaded:
        """The run's configuration with the overrides applied, except those that are ignored."""
        config = self.network.loaded.config
        for change in self._ignored:
            config = _restored(config, self.network.original.config, change.path)
        return replace(self.network.loaded, config=config)

    @property
    def _ignored(self) -> list[Change]:
        return [change for change in _changes(self.network) if change.rule.effect == "ignored"]

    @property
    def is_older(self) -> bool:
        """Whether the checkpoint is older than the last."""
        return self.network.path != self.run.last

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The checkpoint's metadata."""
        return self.network.metadata

    def prepare(self) -> Experiment:
        """Load the data through the transform that the network was trained with.

        Raises:
            CheckpointError: the stored transform is damaged.
            DataError: the data has changed or cannot be read.
            ConfigError: the same, if an override names the file.

        """
        network = self.network
        transform, class_weights = network.transform, network.class_weights  # their errors come first
        try:
            experiment = prepare(self.loaded, transform, class_weights)
        except (DataError, ConfigError):
            self._refuse_changed(file_hashes(self.loaded))  # a change explains the error
            raise
        self._refuse_changed(experiment.dataset.files)
        return experiment

    def _refuse_changed(self, files: Mapping[str, str]) -> None:
        found = changed(self.metadata, files)
        if self.accepts or found is None:
            return
        reason = "rows would be split differently, and the run would be tested on rows it was trained on"
        named = [change.path for change in _changes(self.network) if change.is_file and change.path[0] == "data"]
        if named and found.is_now:
            other = f"is not what the run was trained on (sha256 {', '.join(self.metadata['data'])}): {reason}"
            way_out = f"name a copy of the run's own file, or accept it with {ACCEPT}"
            problems = [self.loaded.problem(path, f"{other}; {way_out}") for path in named]
            raise ConfigError(in_file_order(problems, self.loaded.overrides))
        raise DataError(f"{found.text}: {reason}; {found.way_out('accept it with')}")

    def state(self, experiment: Experiment) -> State:
        """The state in the checkpoint, without remembered values of other measures than this run has.

        Raises:
            CheckpointError: the numbers do not fit.

        """
        path, state = self.network.path, State.empty(experiment.recipe)
        state.restore(experiment.recipe, self.network.checkpoint.tensors, self.metadata["state"], str(path))
        state.seconds = self._seconds(state.step)
        config = experiment.loaded.config
        state.measures = state.measures or measures_of(self.network.original.config, self.metadata["data"])
        measures = measures_of(config, list(experiment.dataset.files.values()))
        self.forgotten[:] = forget_stale(state, measures, config.schedule)
        count = len(experiment.dataset.train)
        if state.position > count:
            raise CheckpointError(
                f"{path}: the state in it is at example {state.position} of an epoch of {count}; use another checkpoint"
            )
        return state

    def _seconds(self, step: int) -> float:
        """Seconds of the run up to ``step``: those in its record if it ended there, else those in its journal."""
        recorded = self.record.get("seconds")
        if self.record.get("steps") == step and isinstance(recorded, int | float):
            return float(recorded)
        return seconds_until(self.rows, step)

    def threads(self, batch: int) -> Threads | None:
        """The threads that the run had; None if an override sets them or the run did not record them."""
        counts = [self.record.get(key) for key in ("threads", "workers")]
        if self._is_overridden(("training", "threads")) or not all(
            type(each) is int and 0 < each < TOO_MANY for each in counts
        ):
            return None
        blas, workers = counts
        return Threads(int(blas or 1), min(int(workers or 1), batch))

    def notices(self, experiment: Experiment, spec: TrainingSpec, asked: int | None) -> list[str]:
        """Remarks on ignored overrides, forgotten memory, changed data and a changed machine.

        Call it when the threads of BLAS are limited: it reads their number. ``asked``: the number of threads that the
        user asked for.
        """
        ignored = [f"{path_text(each.path)} {each}" for each in self._ignored]
        lines, other = [*ignored, *self.forgotten, *self.accepted(experiment)], self._other_bits(spec, asked)
        if other:
            promise = "this run no longer ends with the bits of an uninterrupted one"
            lines.append(f"{promise}: {', '.join(other)}")
        return lines

    def accepted(self, experiment: Experiment) -> list[str]:
        """A remark on changed data."""
        found = changed(self.metadata, experiment.dataset.files)
        return [f"{found.text}; metrics may include rows that the run was trained on"] if found else []

    def _other_bits(self, spec: TrainingSpec, asked: int | None) -> list[str]:
        """Differences that may change the order of sums, except those that the user asked for."""
        before, now = self.record.get("environment"), environment()
        found = differences(before, now) if isinstance(before, dict) else []
        threads = spec.blas_threads
        set_to = (now["blas"] or {}).get("threads", threads)
        if asked is None and not self._is_overridden(("training", "threads")) and set_to != threads:
            found.append(f"BLAS had {threads} threads and allows at most {set_to}")
        if self.record.get("compiled") is True and not spec.compiled and self.loaded.config.training.compile == "auto":
            found.append(f"its steps were compiled and cannot be: {compiler_obstacle()}")
        compiler = self.record.get("compiler")
        if spec.compiled and isinstance(compiler, str) and compiler != compiler_text():
            found.append(f"its steps were compiled by {compiler}, and are now by {compiler_text()}")
        return found

    def _is_overridden(self, path: TreePath) -> bool:
        places = self.loaded.source.overrides
        return any(place[: len(path)] == path[: len(place)] for place in places)


def find_run(target: Path) -> tuple[RunDirectory, Path]:
    """The run that ``target`` names, and its checkpoint: the last, unless ``target`` is a checkpoint.

    Raises: CheckpointError when there is no such run.
    """
    if not (exists(target) and target.is_file()):
        run = RunDirectory.open(target)
        return run, run.last
    if target.parent.name != "checkpoints" or not RunDirectory(target.parent.parent).record.is_file():
        raise CheckpointError(f"{target}: is a file; expected a run directory, or a checkpoint in a run's checkpoints/")
    run = RunDirectory.open(target.parent.parent)
    return run, run.checkpoints / target.name


def open_run(
    run: RunDirectory,
    path: Path,
    overrides: Sequence[str] = (),
    plugins: Sequence[Path | str] = (),
    accepts: bool = False,
) -> Resumption:
    """The checkpoint ``path`` of ``run``. ``plugins``: files with code that its network needs.

    Raises:
        CheckpointError: it is missing or damaged (the message names another checkpoint), or run.json or the journal is.
        ConfigError: an override is wrong, or changes what the run's numbers mean.

    """
    if not path.exists():
        missing = f"{run.path}: has no checkpoint to resume from: {path.name} is missing"
        raise CheckpointError(f"{missing}; {_instead(run, path)}")
    try:
        network = read_network(path, overrides, plugins, _refused)
    except DamagedError as error:
        raise CheckpointError(f"{error.fault}; {_instead(run, path)}") from error
    rows = read_journal(run.journal) if run.journal.exists() else []
    return Resumption(run, network, run.read_record(), rows, accepts)


def _instead(run: RunDirectory, path: Path) -> str:
    """The way out if ``path`` is missing or damaged: the newest whole checkpoint."""
    other = newest_whole(run, but=path)
    if other is None:
        return "there is no other whole one: start a new run"
    command = resume_command(run.path if other == run.last else other)
    return f"{other.name} is whole: resume from it with: {command}"


def _refused(network: TrainedNetwork) -> list[Problem]:
    """Overrides of settings that a resumed run must keep. Data files are compared when they are read."""
    return [
        network.loaded.problem(change.path, f"{change}; leave it out, or start a new run")
        for change in _changes(network)
        if change.rule.effect == "refused" and not (change.is_file and change.path[0] == "data")
    ]


def _restored(settings: T, before: T, path: TreePath) -> T:
    """``settings`` with the value at ``path`` that ``before`` has."""
    key, *inner = map(str, path)
    value = getattr(before, key)
    if inner:
        value = _restored(getattr(settings, key), value, tuple(inner))
    return settings.model_copy(update={key: value})


def _changes(network: TrainedNetwork) -> Iterator[Change]:
    was, is_ = network.configs
    yield from (change for change in changes(was, is_) if change.path[0] != "optimizer")
    if was.optimizer != is_.optimizer:
        yield from _of_updates(network, was, is_)


def _of_updates(network: TrainedNetwork, was: Config, is_: Config) -> Iterator[Change]:
    """Changes to the update of each parameter. Groups are compared by their effect: they may be written differently."""
    own = [change.path for change in changes(was.optimizer, is_.optimizer, ("optimizer",))]
    seen: set[TreePath] = set()
    for name, param in network.original_model.params.items():
        before, after = (config.optimizer.of(name, param.shape) for config in (was, is_))
        for change in changes(before, after, ("optimizer",)):
            place, what = change.path, ""
            if place not in own:
                # A key of a group or a fallback, or a group that gained or lost the parameter.
                place, what = max(own, key=lambda path: (path[-1] == place[-1], len(path))), f"{place[-1]} of {name}"
            if change.rule.effect == "refused" and place not in seen:
                seen.add(place)
                yield change._replace(path=place, what=what)
