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
    """Number of parameters."""
    examples: Mapping[str, int]
    """Number of examples by split."""
    batch_size: int
    """Examples a batch."""
    epochs: int
    """Planned epochs."""
    steps_per_epoch: int
    """Steps of an epoch."""
    total_steps: int
    """Planned steps."""
    threads: int
    """Threads of a step."""
    step: int = 0
    """Steps already done: above 0 in a resumed run."""
    epoch: int = 1
    """The epoch of the next step."""
    run_dir: str = ""
    """The directory of the run, if it has one."""
    compiled: bool = False
    """Whether the steps are compiled to machine code."""
    split: str = ""
    """The columns that decide which row is in which split: ``by patient``, ``in time by date``; empty if at random."""


class Step(NamedTuple):
    """An optimizer update is done. Not every update is an event: see ``Trainer.run``."""

    step: int
    """The step, from 1."""
    epoch: int
    """Its epoch, from 1."""
    loss: float
    """The loss of its batch before the update, without regularization."""
    regularization: float
    """The penalties before the update."""
    gradient_norm: float
    """Euclidean norm of the gradient, before clipping."""
    learning_rate: float
    """The learning rate of the update."""
    examples: int
    """Number of examples of the batch."""
    seconds: float
    """Seconds since the start of the run."""


class Epoch(NamedTuple):
    """One pass over the train split is done.

    Its metrics have their full names: ``train/loss``, ``validation/accuracy``, ``learning_rate``, ``gradient_norm``
    (mean over the epoch's steps), ``examples_per_second``.
    """

    step: int
    """The last step of the epoch."""
    epoch: int
    """The epoch, from 1."""
    seconds: float
    """Seconds since the start of the run."""
    metrics: Mapping[str, float]
    """Metrics by full name."""
    partial: bool = False
    """A limit ended the epoch early."""
    improved: bool = False
    """The monitored metric is the best so far."""


class GradientChecked(NamedTuple):
    """A gradient check ran inside training."""

    step: int
    """Steps done before the check."""
    passed: bool
    """Whether no gradient is wrong."""
    worst: str
    """Name of the worst parameter."""
    max_relative_error: float
    """Its largest relative error."""
    seconds: float
    """Seconds that the check took."""
    path: str
    """The file with the whole report."""


class Measured(NamedTuple):
    """Additional metrics of one step by full name, such as ``adjoint_residual``."""

    step: int
    """The step."""
    metrics: Mapping[str, float]
    """The metrics."""


class Saved(NamedTuple):
    """The state is kept as a checkpoint. It is on disk within about a second, and before the run ends."""

    step: int
    """The step."""
    kind: str
    """``best``, ``last`` or ``step``."""
    path: str
    """The file."""


class Stopped(NamedTuple):
    """Training ends before its planned length: early stopping, a limit, or a signal."""

    step: int
    """The last step."""
    epoch: int
    """Its epoch."""
    reason: str
    """What ended training."""


class Warned(NamedTuple):
    """A warning; the run continues."""

    message: str


class Failed(NamedTuple):
    """An error ended the run."""

    step: int
    """The last step."""
    epoch: int
    """Its epoch."""
    status: str
    """The status, as in run.json."""
    reason: str
    """The message, as printed."""


class Finished(NamedTuple):
    """The run is over."""

    status: str
    """The status, as in run.json."""
    step: int
    """The last step."""
    epoch: int
    """Completed epochs."""
    seconds: float
    """Seconds since the start of the run."""
    metrics: Mapping[str, float] = MappingProxyType({})
    """Metrics of the kept model on every split, by full name."""
    run_dir: str = ""
    """The directory of the run."""


class Checking(NamedTuple):
    """Progress of a gradient check, in entries. Neither journal nor log has it."""

    step: int
    done: int
    total: int


OnProgress = Callable[[str, int, int], None]
"""Progress of work without events, as ``(what, done, total)``: ``("entries", 12, 340)``."""

Event = Started | Step | Epoch | Checking | GradientChecked | Measured | Saved | Stopped | Warned | Failed | Finished
