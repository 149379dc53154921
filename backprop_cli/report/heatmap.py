"""A matrix as a picture, drawn by Matplotlib, which is the optional extra ``[plot]``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_TICKS = 32
"""Most elements of an axis that are labelled."""
_MOST_PANELS = 16


def heatmap(
    matrix: Array,
    title: str,
    names: tuple[str, str],
    labels: Sequence[Sequence[str]],
    image: tuple[int, ...],
) -> Any:
    """The figure: red above 0, blue below, white at 0; rows down, columns across.

    ``names`` and ``labels``: of rows and columns; labels are empty if there are too many to read. ``image``: the shape
    of one row. If it is that of a picture (..., height, width) and there are few rows, each row is drawn as a picture.

    Shapes: matrix (rows, columns)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bound = float(np.abs(matrix[np.isfinite(matrix)]).max(initial=0.0)) or 1.0
    style: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound, "interpolation": "nearest"}
    height, width = image[-2:] if len(image) >= 2 else (1, 1)
    is_picture = min(height, width) > 1 and height * width == matrix.shape[1]
    if is_picture and len(matrix) <= _MOST_PANELS:
        figure = _panels(Figure, matrix.reshape(-1, height, width), labels[0], style)
    else:
        figure = Figure(figsize=_size(matrix.shape), layout="constrained")
        axis = figure.subplots()
        drawn = axis.imshow(matrix, aspect="auto", **style)
        axis.set_xlabel(names[1])
        axis.set_ylabel(names[0])
        for set_ticks, texts, turn in ((axis.set_xticks, labels[1], 90), (axis.set_yticks, labels[0], 0)):
            if texts:
                set_ticks(range(len(texts)), texts, rotation=turn, fontsize=8)
        figure.colorbar(drawn, ax=axis)
    figure.suptitle(title, fontsize=10)
    FigureCanvasAgg(figure)
    return figure


def _panels(new: Callable[..., Any], pictures: Array, titles: Sequence[str], style: Mapping[str, Any]) -> Any:
    """Pictures (n, height, width) in a square grid."""
    across = math.ceil(math.sqrt(len(pictures)))
    down = math.ceil(len(pictures) / across)
    figure = new(figsize=(max(5.0, 2.0 * across + 1.0), max(3.0, 2.2 * down + 0.6)), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, picture, title in zip(axes, pictures, titles, strict=False):
        drawn = axis.imshow(picture, **style)
        axis.set_title(title, fontsize=9)
    figure.colorbar(drawn, ax=list(axes), shrink=0.8)
    return figure


def _size(shape: tuple[int, ...]) -> tuple[float, float]:
    """Width and height in inches: a quarter per element, limited to a page."""
    rows, columns = shape
    return min(max(5.0, 2.5 + 0.25 * columns), 12.0), min(max(3.0, 1.5 + 0.25 * rows), 10.0)
