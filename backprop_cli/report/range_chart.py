"""A learning rate range test as text or as a picture: the curve and the suggestion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backprop_cli.errors import plural
from backprop_cli.number_text import number

if TYPE_CHECKING:
    from backprop_cli.api.find_lr import FoundRate

_COLUMNS, _ROWS = 64, 12
_ABOVE = 0.5
"""Part of the picture above the first loss, relative to the loss's fall; more would flatten the curve."""


def range_text(result: FoundRate) -> str:
    """The curve of the smoothed loss, the range of rates that was tested, and the suggestion."""
    rates, smoothed, suggestion = result.rates, result.smoothed, result.learning_rate
    lines = _plot(rates, smoothed, suggestion) if len(rates) > 1 else []
    span = f" from {number(rates[0])} to {number(rates[-1])}" if rates else ""
    stopped = f"; stopped: {result.stopped}" if result.stopped else ""
    lines.append(f"{plural(result.steps, 'step')}{span}{stopped}")
    if suggestion is None:
        return "\n".join([*lines, f"no suggestion: {result.reason}"])
    configured = f"configured: {number(result.configured)}"
    return "\n".join([*lines, f"optimizer.learning_rate={suggestion:g}  ({result.reason}; {configured})"])


def _plot(rates: Sequence[float], values: Sequence[float], marked: float | None) -> list[str]:
    """The values over the logarithm of the rates; ``^``: a value above the picture; ``:``: the marked rate."""
    low, top = _bounds(values)
    heights: list[list[float]] = [[] for _ in range(_COLUMNS)]
    for rate, value in zip(rates, values, strict=True):
        heights[_column(rate, rates)].append(value)
    grid = [[" "] * _COLUMNS for _ in range(_ROWS)]
    # A suggestion is a tenth of a rate that was tried, so it may be below all of them.
    if marked is not None and rates[0] <= marked <= rates[-1]:
        for row in grid:
            row[_column(marked, rates)] = ":"
    for column, found in enumerate(heights):
        if found:
            value = sum(found) / len(found)
            place = round((top - value) / (top - low) * (_ROWS - 1))
            grid[max(place, 0)][column] = "*" if place >= 0 else "^"
    labels = [number(top), *[""] * (_ROWS - 2), number(low)]
    width = max(map(len, labels))
    lines = [f"{label.rjust(width)} |{''.join(row)}".rstrip() for label, row in zip(labels, grid, strict=True)]
    left, right = number(rates[0]), number(rates[-1])
    scale = f"{left}{'learning rate'.center(_COLUMNS - len(left) - len(right))}{right}"
    return ["smoothed loss", *lines, f"{' ' * width} +{'-' * _COLUMNS}", f"{' ' * width}  {scale}"]


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """The lowest value and the top of the picture."""
    low = min(values)
    top = min(max(values), values[0] + _ABOVE * (values[0] - low))
    return (low, top) if top > low else (low, low + (abs(low) or 1.0))


def _column(rate: float, rates: Sequence[float]) -> int:
    return round(math.log(rate / rates[0]) / math.log(rates[-1] / rates[0]) * (_COLUMNS - 1))


def range_figure(result: FoundRate) -> Any:
    """The figure: losses of the batches as points, the smoothed loss as a line, the suggestion as a vertical line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rates, suggestion = result.rates, result.learning_rate
    losses = [math.nan if loss is None else loss for loss in result.losses]
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axis = figure.subplots()
    axis.plot(rates, losses, ".", color="0.7", label="loss")
    axis.plot(rates, result.smoothed, color="C0", label="smoothed")
    if suggestion is not None:
        axis.axvline(suggestion, color="C3", linestyle=":", label=f"learning_rate {suggestion:g}")
    axis.set_xscale("log")
    axis.set_xlabel("learning rate")
    axis.set_ylabel("loss")
    if len(rates) > 1:
        low, top = _bounds(result.smoothed)
        axis.set_ylim(low - 0.05 * (top - low), top + 0.05 * (top - low))
    axis.legend()
    FigureCanvasAgg(figure)
    return figure
