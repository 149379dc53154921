"""Events of a run. The loop yields them; journal, log, console and checkpoints read them.

The journal has their names in snake case. They are named tuples: ten dataclasses would take a start 5 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple


class Started(NamedTuple):
    """The process is about to take its first step."""

    parameters: int
    examples: Mapping[str, int]  # by split
    batch_size: int
    epochs: int
    steps_per_epoch: int
    total_steps: int
    threads: int
    step: int = 0  # steps already done: above 0 in a resumed run
    epoch: int = 1
    run_dir: str = ""  # the directory of the run, if it has one
    compiled: bool = False


class Step(NamedTuple):
    """An optimizer update is done. Not every update is an event: see ``Trainer.run``.

    ``loss`` excludes regularization; ``seconds`` count from the start of the run.
    """

    step: int
    epoch: int
    loss: float
    regularization: float
    gradient_norm: float
    learning_rate: float
    examples: int
    seconds: float


class Epoch(NamedTuple):
    """One pass over the train split is done; ``partial``: a limit ended it early.

    ``metrics`` have their full names: ``train/loss``, ``validation/accuracy``, ``learning_rate``, ``gradient_norm``
    (mean over the epoch's steps), ``examples_per_second``.
    """

    step: int
    epoch: int
    seconds: float
    metrics: Mapping[str, float]
    partial: bool = False
    improved: bool = False


class GradientChecked(NamedTuple):
    """A gradient check ran inside training."""

    step: int
    passed: bool
    worst: str
    max_relative_error: float
    seconds: float
    path: str


class Measured(NamedTuple):
    """Additional metrics of one step by full name, such as ``adjoint_residual``."""

    step: int
    metrics: Mapping[str, float]


class Saved(NamedTuple):
    """A checkpoint is on disk; ``kind`` is best, last or step."""

    step: int
    kind: str
    path: str


class Stopped(NamedTuple):
    """Training ends before its planned length: early stopping, a limit, or a signal."""

    step: int
    epoch: int
    reason: str


class Warned(NamedTuple):
    """A warning; the run continues."""

    message: str


class Failed(NamedTuple):
    """An error ended the run: ``status`` as in run.json, ``reason`` as printed."""

    step: int
    epoch: int
    status: str
    reason: str


class Finished(NamedTuple):
    """The run is over. ``metrics``: those of the kept model on every split."""

    status: str
    step: int
    epoch: int
    seconds: float
    metrics: Mapping[str, float] = MappingProxyType({})
    run_dir: str = ""


class Checking(NamedTuple):
    """Progress of a gradient check, in entries. Neither journal nor log has it."""

    step: int
    done: int
    total: int


OnProgress = Callable[[str, int, int], None]
"""Progress of work without events, as ``(what, done, total)``: ``("entries", 12, 340)``."""

Event = Started | Step | Epoch | Checking | GradientChecked | Measured | Saved | Stopped | Warned | Failed | Finished
