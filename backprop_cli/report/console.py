"""Events of a run for people to read: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import TextIO

from backprop_cli.number_text import clock, number
from backprop_cli.report.screen import REDRAW_SECONDS, Screen
from backprop_cli.run.log import line_of, rate, shown
from backprop_cli.training.events import (
    Checking,
    Epoch,
    Event,
    Finished,
    GradientChecked,
    Started,
    Step,
    Stopped,
    Warned,
)


class Console:
    """Shows events on ``stream``.

    ``plain``: lines only; otherwise a bar replaces the epochs' lines. ``quiet``: warnings only.
    """

    def __init__(self, stream: TextIO, plain: bool, quiet: bool):
        self._screen = Screen(stream)
        self._plain, self._quiet = plain, quiet
        self._started: Started | None = None
        self._epoch: Epoch | None = None
        self._began = self._redraw_at = 0.0

    def show(self, event: Event) -> None:
        """Show ``event``. A step costs one clock reading, unless the bar is due to be redrawn."""
        if type(event) is Step:
            if self._screen.has_bar and monotonic() >= self._redraw_at:
                self._draw(event)
            return
        if isinstance(event, Checking):
            self._draw_check(event)
            return
        if isinstance(event, Started):
            self._start(event)
        line = line_of(event, self._started.epochs if self._started else None)
        if isinstance(event, Stopped | Finished):
            self._finish()
        if line is not None:
            self._show_line(line, event)
        if isinstance(event, Started):
            self._open_bar(event)
        elif isinstance(event, GradientChecked) and self._started and event.step == self._started.step:
            self._began = monotonic()  # the gradient check before the first step does not count as step time
        elif isinstance(event, Epoch):
            self._epoch = event

    def close(self) -> None:
        """Remove the bar; a second call does nothing."""
        self._screen.close_bar()

    def __enter__(self) -> Console:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _start(self, event: Started) -> None:
        self.close()
        self._started = event

    def _open_bar(self, event: Started) -> None:
        if self._plain or self._quiet:
            return
        self._began = self._redraw_at = monotonic()
        self._screen.open_bar(_head(event.epoch, event), event.step, event.total_steps)

    def _draw(self, step: Step) -> None:
        if self._started is not None:
            head, facts = bar_texts(step, self._started, self._epoch, monotonic() - self._began)
            self._draw_bar(step.step, head, facts)

    def _draw_check(self, check: Checking) -> None:
        if monotonic() >= self._redraw_at:
            self._draw_bar(check.step, "checking gradients", [f"{check.done:,}/{check.total:,}"])

    def _draw_bar(self, done: int, head: str, facts: list[str]) -> None:
        self._redraw_at = monotonic() + REDRAW_SECONDS
        self._screen.draw(done, head, facts)

    def _finish(self) -> None:
        """Replace the bar by the line of the last epoch, which the bar has hidden."""
        had_bar = self._screen.has_bar
        self.close()
        if had_bar and self._epoch is not None and self._started is not None:
            self._screen.print(line_of(self._epoch, self._started.epochs) or "")

    def _show_line(self, line: str, event: Event) -> None:
        is_warning = isinstance(event, Warned) or (isinstance(event, GradientChecked) and not event.passed)
        if self._quiet and not is_warning:
            return
        if isinstance(event, Epoch) and self._screen.has_bar:
            return
        self._screen.print(line, "yellow" if is_warning else "")


def bar_texts(step: Step, started: Started, epoch: Epoch | None, seconds: float) -> tuple[str, list[str]]:
    """The texts left and right of the bar: the loss of this batch, a metric of the epoch before by its name in the log.

    ``seconds``: time since the first step of this process.
    """
    facts = [f"loss {number(step.loss)}"]
    if epoch is not None and (name := _first_metric(epoch)):
        facts.append(f"{name.removeprefix('train/')} {number(epoch.metrics[name])}")
    taken = step.step - started.step
    if seconds > 0 and taken > 0:
        left = (started.total_steps - step.step) * seconds / taken
        facts.append(f"{clock(max(left, 0.0))} left")
        examples = started.examples.get("train", 0) / max(started.steps_per_epoch, 1)
        facts.append(rate(taken * examples / seconds))
    return _head(step.epoch, started), facts


def _head(epoch: int, started: Started) -> str:
    return f"epoch {epoch}/{started.epochs}"


def _first_metric(epoch: Epoch) -> str | None:
    """The validation split's first metric that is not a loss, else the train split's, else the validation loss."""
    names = [name for name in shown(epoch.metrics) if "/" in name]
    for split in ("validation/", "train/"):
        for name in names:
            if name.startswith(split) and not name.endswith(("/loss", "/regularization")):
                return name
    return next((name for name in names if name == "validation/loss"), None)
