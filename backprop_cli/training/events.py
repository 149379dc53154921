"""What happens during a run, as facts. The loop yields them; journal, console and checkpoints read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Started:
    """Training is about to take its first step (of this process)."""

    parameters: int
    examples: Mapping[str, int]  # by split
    batch_size: int
    epochs: int
    steps_per_epoch: int
    total_steps: int
    threads: int
    step: int = 0  # steps already done: above 0 on resume
    epoch: int = 1
    run_dir: str = ""  # where the run is recorded, when it is
    compiled: bool = False


class Step(NamedTuple):
    """An optimizer update is done; not each of them is an event (see ``Trainer.run``).

    ``loss`` includes no regularization; ``seconds`` count from the start.
    """

    step: int
    epoch: int
    loss: float
    regularization: float
    gradient_norm: float
    learning_rate: float
    examples: int
    seconds: float


@dataclass(frozen=True)
class Epoch:
    """One pass over the train split is done (or, ``partial``, as much of it as the step limit allowed).

    ``metrics`` are by their full names: ``train/loss``, ``validation/accuracy``, ``learning_rate``,
    ``gradient_norm`` (mean over the epoch's steps), ``examples_per_second``.
    """

    step: int
    epoch: int
    seconds: float
    metrics: Mapping[str, float]
    partial: bool = False
    improved: bool = False


@dataclass(frozen=True)
class GradientChecked:
    """A gradient check ran inside training."""

    step: int
    passed: bool
    worst: str
    max_relative_error: float
    seconds: float
    path: str


@dataclass(frozen=True)
class Measured:
    """Metrics of one step beside its loss, by their full names: ``adjoint_residual``."""

    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on disk; ``kind`` is best, last or step."""

    step: int
    kind: str
    path: str


@dataclass(frozen=True)
class Stopped:
    """Training ends before its planned length: early stopping, a limit, or a signal."""

    step: int
    epoch: int
    reason: str


@dataclass(frozen=True)
class Warned:
    """Something the user should know that does not stop the run."""

    message: str


@dataclass(frozen=True)
class Failed:
    """The run has ended by an error: ``status`` as in run.json, ``reason`` as it is printed."""

    step: int
    epoch: int
    status: str
    reason: str


@dataclass(frozen=True)
class Finished:
    """The run is over; ``metrics`` are those of the model that is kept, every split included."""

    status: str
    step: int
    epoch: int
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    run_dir: str = ""


@dataclass(frozen=True)
class Checking:
    """A gradient check after a step is under way: entries that are done. For eyes; neither journal nor log has it."""

    step: int
    done: int
    total: int


OnProgress = Callable[[str, int, int], None]
"""What is told, of work without events, how many of what are done, and of how many: ``("entries", 12, 340)``."""

Event = Started | Step | Epoch | Checking | GradientChecked | Measured | Saved | Stopped | Warned | Failed | Finished
