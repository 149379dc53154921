"""Events as lines of plain text; what a terminal without a bar, a pipe and the log show."""

from __future__ import annotations

from collections.abc import Mapping

from backprop_cli.errors import plural
from backprop_cli.report.numbers import duration, number
from backprop_cli.training.events import Epoch, Event, Finished, GradientChecked, Started, Stopped, Warned

_NOT_SHOWN = ("learning_rate", "gradient_norm", "examples_per_second")
"""Of an epoch's metrics: kept in the journal, too much for a line."""


def line_of(event: Event, epochs: int | None = None) -> str | None:
    """The line for ``event``; None where it has none (steps, saved checkpoints). ``epochs`` is the planned number."""
    match event:
        case Epoch():
            return epoch_line(event, epochs)
        case Started():
            return started_line(event)
        case GradientChecked():
            return _gradient_line(event)
        case Stopped():
            return f"stopped in epoch {event.epoch}, step {event.step}: {event.reason}"
        case Warned():
            return f"warning: {event.message}"
        case Finished():
            return f"{event.status} after {plural(event.step, 'step')}, {duration(event.seconds)}"
    return None


def epoch_line(event: Epoch, epochs: int | None) -> str:
    """``epoch 3/30  loss 0.1234  accuracy 0.951  validation/loss 0.2  12,345 examples/s``."""
    of = f"/{epochs}" if epochs else ""
    parts = [f"epoch {event.epoch}{of}" + (" (part)" if event.partial else "")]
    parts += [f"{name.removeprefix('train/')} {number(value)}" for name, value in shown(event.metrics).items()]
    if "examples_per_second" in event.metrics:
        parts.append(rate(event.metrics["examples_per_second"]))
    return "  ".join(parts)


def shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that have a place on a line; regularization only where there is some."""
    return {
        name: value
        for name, value in metrics.items()
        if name not in _NOT_SHOWN and not (name.endswith("/regularization") and value == 0)
    }


def rate(examples_per_second: float) -> str:
    """``12,345 examples/s``."""
    return f"{examples_per_second:,.0f} examples/s"


def started_line(event: Started) -> str:
    """What is trained on what, and for how long."""
    examples = event.examples.get("train", 0)
    others = ", ".join(f"{split} {count:,}" for split, count in event.examples.items() if split != "train" and count)
    begin = f"going on after step {event.step:,}: " if event.step else ""
    return (
        f"{begin}training {plural(event.parameters, 'parameter')} on {plural(examples, 'example')}"
        + (f" ({others})" if others else "")
        + f"; {plural(event.epochs, 'epoch')} of {plural(event.steps_per_epoch, 'step')}"
        + f", batch {event.batch_size:,}, {plural(event.threads, 'thread')}"
        + (", compiled" if event.compiled else "")
    )


def _gradient_line(event: GradientChecked) -> str:
    measured = f"largest relative error {event.max_relative_error:.1e} in {event.worst}, {duration(event.seconds)}"
    if event.passed:
        return f"gradients are right at step {event.step}: {measured}"
    return f"GRADIENTS ARE WRONG at step {event.step}: {measured}; see {event.path}"
