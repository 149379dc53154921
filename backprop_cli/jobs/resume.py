"""What a resumed run goes on from, and the overrides that it cannot take: they would make another run of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backprop_cli.config.load import Loaded
from backprop_cli.config.locate import in_file_order
from backprop_cli.config.network import check_model
from backprop_cli.config.path import TreePath, path_text
from backprop_cli.config.schema import Config
from backprop_cli.errors import CheckpointError, ConfigError, Problem
from backprop_cli.jobs.network import Prepared
from backprop_cli.jobs.saved import Stored, read_stored
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import Optimizer
from backprop_cli.run.checkpoint import DamagedError
from backprop_cli.run.checkpointer import newest_whole
from backprop_cli.run.directory import RunDirectory, resume_command
from backprop_cli.run.journal import Row, read_journal, seconds_until
from backprop_cli.training.state import State

_ROWS: tuple[TreePath, ...] = (
    ("seed",),
    *(("data", key) for key in ("generate", "split", "target", "text", "window")),
)
_FILES: tuple[TreePath, ...] = tuple(("data", key) for key in ("source", "train", "validation", "test"))
_SPLIT = "a resumed run keeps its split: it would be tested on rows that it was trained on; start a new run"
_FEATURES = "a resumed run keeps its features: its first layer has learned what each of them is; start a new run"


@dataclass(frozen=True)
class Resumed:
    """A run, and the checkpoint in it that training goes on from."""

    run: RunDirectory
    stored: Stored
    record: dict[str, Any]
    rows: Sequence[Row] = ()
    """of the journal"""

    @property
    def loaded(self) -> Loaded:
        """The run's configuration with the overrides in it."""
        return self.stored.loaded

    @property
    def is_older(self) -> bool:
        """Whether this is another checkpoint than the last."""
        return self.stored.path != self.run.last

    def restore(self, prepared: Prepared, state: State) -> None:
        """Put the checkpoint's numbers into ``state``.

        Raises:
            ConfigError: an override makes the data another one.
            CheckpointError: the numbers do not fit.

        """
        _refuse([*self._other_files(prepared), *self._other_inputs(prepared)], self.loaded)
        checkpoint, path = self.stored.checkpoint, self.stored.path
        state.restore(prepared.recipe, checkpoint.tensors, checkpoint.metadata["state"], str(path))
        if state.position > len(prepared.dataset.train):
            raise CheckpointError(
                f"{path}: the state in it is at example {state.position} of an epoch of {len(prepared.dataset.train)}; "
                "use another checkpoint"
            )
        state.seconds = self._seconds(state.step)

    def _seconds(self, step: int) -> float:
        """Seconds that the run took up to ``step``: as it said when it ended there, or else as its journal says."""
        told = self.record.get("seconds")
        if self.record.get("steps") == step and isinstance(told, int | float):
            return float(told)
        return seconds_until(self.rows, step)

    def _other_files(self, prepared: Prepared) -> Iterator[Problem]:
        """Other names of the same files are welcome: data may have moved."""
        if list(prepared.dataset.files.values()) != list(self.record.get("data", {}).values()):
            for path in _changed(self.stored, _FILES):
                yield from _blamed(self.loaded, path, _SPLIT)

    def _other_inputs(self, prepared: Prepared) -> Iterator[Problem]:
        was, is_ = self.stored.input_shape, prepared.recipe.model.input_shape
        if was != is_:
            reason = f"a resumed run keeps its inputs: {list(was)} an example, not {list(is_)}; start a new run"
            yield from _blamed(self.loaded, ("data",), reason)


def find_run(target: Path) -> tuple[RunDirectory, Path]:
    """The run that ``target`` means, and which of its checkpoints: the last, unless ``target`` is one of them.

    Raises: CheckpointError when there is no such run.
    """
    if not _is_file(target):
        run = RunDirectory.open(target)
        return run, run.last
    if target.parent.name != "checkpoints" or not RunDirectory(target.parent.parent).record.is_file():
        raise CheckpointError(f"{target}: is a file; expected a run directory, or a checkpoint in a run's checkpoints/")
    run = RunDirectory.open(target.parent.parent)
    return run, run.checkpoints / target.name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # which is told where it is opened
        return False


def open_run(
    run: RunDirectory, path: Path, overrides: Sequence[str] = (), plugins: Sequence[Path | str] = ()
) -> Resumed:
    """The checkpoint ``path`` of ``run``. ``plugins``: files with code that its network needs.

    Raises:
        CheckpointError: it is missing or damaged, the message says what to go on from instead; or so is what the run
            says of itself, in run.json or the journal.
        ConfigError: an override is wrong, or makes another run of it.

    """
    if not path.exists():
        missing = f"{run.path}: has no checkpoint to go on from: {path.name} is missing"
        raise CheckpointError(f"{missing}; {_instead(run, path)}")
    try:
        stored = read_stored(path, overrides, plugins)
    except DamagedError as error:
        raise CheckpointError(f"{error.fault}; {_instead(run, path)}") from error
    _refuse([*_other_rows(stored), *_other_network(stored)], stored.loaded)
    return Resumed(run, stored, run.read_record(), read_journal(run.journal) if run.journal.exists() else [])


def _instead(run: RunDirectory, path: Path) -> str:
    """The way on where ``path`` is none."""
    other = newest_whole(run, but=path)
    if other is None:
        return "there is no other whole one: start a new run"
    command = resume_command(run.path if other == run.last else other)
    return f"{other.name} is whole: go on from it with: {command}"


def _refuse(problems: list[Problem], loaded: Loaded) -> None:
    if problems:
        raise ConfigError(in_file_order(problems, loaded.overrides))


def _other_rows(stored: Stored) -> Iterator[Problem]:
    for path in _changed(stored, _ROWS):
        yield from _blamed(stored.loaded, path, _SPLIT)
    for path in _changed(stored, (("data", "features"),)):
        yield from _blamed(stored.loaded, path, _FEATURES)


def _other_network(stored: Stored) -> Iterator[Problem]:
    """What would leave saved numbers without a place, or places without a number."""
    was, is_ = stored.original.config, stored.loaded.config
    if was.training.precision != is_.training.precision:
        reason = f"a resumed run keeps its precision, {was.training.precision}; start a new run"
        yield from _blamed(stored.loaded, ("training", "precision"), reason)
    if was.optimizer != is_.optimizer:
        difference = _other_slots(was.optimizer, is_.optimizer, stored.model)
        if difference:
            reason = f"a resumed run keeps its optimizer: {difference}; start a new run"
            yield from _blamed(stored.loaded, ("optimizer",), reason)
    for key in ("average", "lookahead"):
        before, after = (getattr(config, key) is not None for config in (was, is_))
        if before != after:
            reason = f"a resumed run keeps its {key}, {'which it has' if before else 'of which it has none'}"
            yield from _blamed(stored.loaded, (key,), f"{reason}; start a new run")
    if was.model != is_.model:
        difference = _difference(stored.model, check_model(stored.loaded, stored.input_shape))
        if difference:
            reason = f"a resumed run keeps its parameters: {difference}; start a new run"
            yield from _blamed(stored.loaded, ("model",), reason)


def _other_slots(was: Optimizer, is_: Optimizer, model: Model) -> str:
    """The first parameter of which something else would be remembered, named where it is not so of all; or empty."""
    pairs = {name: (was.of(name, param.shape), is_.of(name, param.shape)) for name, param in model.params.items()}
    other = {name: pair for name, pair in pairs.items() if pair[0].slot_names() != pair[1].slot_names()}
    for name, (before, after) in other.items():
        of = "" if len(other) == len(pairs) else f" of {name}"
        return f"{_slots(before)}{of}, {_slots(after)}"
    return ""


def _slots(optimizer: Optimizer) -> str:
    names = optimizer.slot_names()
    shown = [*names[:_SHOWN], *([f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])]
    return f"{optimizer.type} remembers {' and '.join(shown) or 'nothing'}"


_SHOWN = 3
"""Names of slots that a message has room for."""


def _difference(was: Model, is_: Model) -> str:
    """The first parameter or buffer that is not what it was; empty where all are."""
    before, after = (_arrays(model) for model in (was, is_))
    for name in {**before, **after}:
        if before.get(name) == after.get(name):
            if (name in was.params) != (name in is_.params):
                now, then = ("trained", "frozen") if name in was.params else ("frozen", "trained")
                return f"{name} is {now} and would be {then}"
        else:
            new = f"would be {after[name]}" if name in after else "would be gone"
            return f"{name} is {before[name]} and {new}" if name in before else f"{name} would be new"
    return ""


def _arrays(model: Model) -> dict[str, list[int]]:
    """Shapes of parameters and buffers."""
    return {name: list(array.shape) for name, array in {**model.params, **model.buffers}.items()}


def _changed(stored: Stored, paths: tuple[TreePath, ...]) -> Iterator[TreePath]:
    return (path for path in paths if _value(stored.original.config, path) != _value(stored.loaded.config, path))


def _value(config: Config, path: TreePath) -> Any:
    value: Any = config
    for step in path:
        value = getattr(value, str(step))
    return value


def _blamed(loaded: Loaded, path: TreePath, reason: str) -> Iterator[Problem]:
    """A problem for every override that set the value at ``path``, something in it or something around it."""
    for place, override in loaded.source.overrides.items():
        length = min(len(place), len(path))
        if place[:length] == path[:length]:
            around = len(override.path) < len(path)
            yield loaded.problem(override.path, f"{path_text(path)}: {reason}" if around else reason)
