"""log.txt: the events of a run as lines of plain text, kept with the run."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from backprop_cli.errors import plural
from backprop_cli.files import open_own
from backprop_cli.number_text import duration, number
from backprop_cli.run.atomic import reason
from backprop_cli.training.events import Epoch, Event, Finished, GradientChecked, Started, Step, Stopped, Warned
from backprop_cli.visible import visible

_NOT_SHOWN = ("learning_rate", "gradient_norm", "examples_per_second")
"""Metrics of an epoch that only the journal has, because a line would be too long."""


class RunLog:
    """Appends the lines of events to ``path``; the system has each line when ``show`` or ``write`` returns.

    The file is opened for the first line and stays open until ``close``: opening it takes longer than a short epoch.
    Lines before ``Started`` wait for it: a run that never starts leaves no log. A run does not need its log: the first
    failure to write goes to ``on_failure`` and ends the logging.
    """

    def __init__(self, path: Path, on_failure: Callable[[str], None]):
        self.path, self._on_failure = path, on_failure
        self._has_failed = False
        self._epochs: int | None = None
        self._waiting: list[str] | None = []
        self._file: io.FileIO | None = None

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; another line opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def show(self, event: Event) -> None:
        """Append the line of ``event``, if it has one."""
        if type(event) is Step:
            return
        if isinstance(event, Started):
            self._epochs = event.epochs
            waiting, self._waiting = self._waiting or [], None
            for earlier in waiting:
                self.write(earlier)
        line = line_of(event, self._epochs)
        if line is not None:
            self.write(line)

    def write(self, line: str) -> None:
        """Append ``line``."""
        if self._waiting is not None:
            self._waiting.append(line)
        elif not self._has_failed:
            self._append(line)

    def _append(self, line: str) -> None:
        rest = memoryview(f"{visible(line)}\n".encode("utf-8", "backslashreplace"))
        try:
            if self._file is None:
                self._file = io.FileIO(open_own(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")
            while rest:  # a disk that fills up takes only the start of a line
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._has_failed = True
            self._on_failure(f"{self.path}: cannot be written: {reason(error)}; the run continues without a log")


def line_of(event: Event, epochs: int | None = None) -> str | None:
    """The line of ``event``; None for steps, saved checkpoints and other events without a line.

    ``epochs``: the planned number.
    """
    match event:
        case Epoch():
            return _epoch_line(event, epochs)
        case Started():
            return _started_line(event)
        case GradientChecked():
            return _gradient_line(event)
        case Stopped() if event.reason != "interrupted":  # the error that follows says it, and how to resume
            return f"stopped in epoch {event.epoch}, step {event.step}: {event.reason}"
        case Warned():
            return f"warning: {event.message}"
        case Finished():
            return f"{event.status} after {plural(event.step, 'step')}, {duration(event.seconds)}"
    return None


def _epoch_line(event: Epoch, epochs: int | None) -> str:
    """``epoch 3/30  loss 0.1234  accuracy 0.951  validation/loss 0.2  12,345 examples/s``."""
    of = f"/{epochs}" if epochs else ""
    facts = [f"epoch {event.epoch}{of}" + (" (part)" if event.partial else "")]
    facts += [f"{name.removeprefix('train/')} {number(value)}" for name, value in shown(event.metrics).items()]
    if "examples_per_second" in event.metrics:
        facts.append(rate(event.metrics["examples_per_second"]))
    return "  ".join(facts)


def shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that a line shows; regularization only if it is not 0."""
    return {
        name: value
        for name, value in metrics.items()
        if name not in _NOT_SHOWN and not (name.endswith("/regularization") and value == 0)
    }


def rate(examples_per_second: float) -> str:
    """``12,345 examples/s``."""
    return f"{examples_per_second:,.0f} examples/s"


def _started_line(event: Started) -> str:
    examples = event.examples.get("train", 0)
    others = ", ".join(f"{split} {count:,}" for split, count in event.examples.items() if split != "train" and count)
    begin = f"resuming after step {event.step:,}: " if event.step else ""
    length = f"{plural(event.epochs, 'epoch')} of {plural(event.steps_per_epoch, 'step')}"
    if begin and event.step >= event.total_steps:
        is_whole = event.total_steps == event.epochs * event.steps_per_epoch
        planned, key = (length, "epochs") if is_whole else (plural(event.total_steps, "step"), "max_steps")
        return f"{begin}nothing is left of {planned}; to train longer, add training.{key}=N"
    return (
        f"{begin}training {plural(event.parameters, 'parameter')} on {plural(examples, 'example')}"
        + (f" ({others})" if others else "")
        + (f", split {event.split}" if event.split else "")
        + f"; {length}, batch {event.batch_size:,}, {plural(event.threads, 'thread')}"
        + (", compiled" if event.compiled else "")
    )


def _gradient_line(event: GradientChecked) -> str:
    measured = f"largest relative error {event.max_relative_error:.1e} in {event.worst}, {duration(event.seconds)}"
    if event.passed:
        return f"gradients are right at step {event.step}: {measured}"
    return f"GRADIENTS ARE WRONG at step {event.step}: {measured}; see {event.path}"
