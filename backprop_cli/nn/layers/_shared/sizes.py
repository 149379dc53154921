"""Sizes of windows over images and sequences, written once for all axes or for each, and their checks."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from backprop_cli.autodiff import Spec
from backprop_cli.errors import ShapeError
from backprop_cli.settings import Count, Many, PositiveInt

Sizes = PositiveInt | Annotated[Many[PositiveInt], Field(min_length=1, max_length=2)]
"""One number for all axes, or one for each: height, width."""

Margins = Count | Annotated[Many[Count], Field(min_length=1, max_length=2)]

Pairs = tuple[tuple[int, int], ...]
"""Zeros before and after, for each axis."""

Padding = Literal["valid", "same"]


def per_axis(layer: str, key: str, value: int | tuple[int, ...], x: Spec) -> tuple[int, ...]:
    """``value`` for each axis of an example except its channels.

    Raises: ShapeError if it has another number of values than axes.
    """
    axes = x.ndim - 2
    if isinstance(value, int):
        return (value,) * axes
    if len(value) not in (1, axes):
        wanted = "one number" if axes == 1 else f"one number or {axes}"
        raise ShapeError(layer, f"{key} {list(value)}: {_kind(axes)} take {wanted}", x=x)
    return value * (axes // len(value))


def check_axes(layer: str, x: Spec, *axes: int) -> None:
    """Raise ShapeError unless an example has channels and one of these numbers of further axes."""
    if x.ndim - 2 in axes:
        return
    kinds = " or ".join(f"{_kind(n)} ({_names(n)})" for n in axes)
    shapes = " or ".join(f"[1, {', '.join(['28'] * n)}]" for n in axes)
    hint = f"set model.input, as in model.input: {shapes}, or put {{type: reshape, shape: ...}} before it"
    raise ShapeError(layer, f"needs {kinds}, channels first; {hint}", x=x)


def dividing(*counts: int) -> str:
    """The numbers of groups that divide all counts, for a message: ``1, 2 or 4``."""
    common = math.gcd(*counts)
    *others, last = (str(groups) for groups in range(1, common + 1) if common % groups == 0)
    return f"{', '.join(others)} or {last}" if others else last


def check_windows(layer: str, x: Spec, kernel: tuple[int, ...], spans: tuple[int, ...], padding: Pairs) -> None:
    """Raise ShapeError unless a window fits into every padded axis; ``spans`` is the dilated kernel."""
    for size, span, (before, after) in zip(x.shape[2:], spans, padding, strict=True):
        if size + before + after < span:
            dilated = f", dilated to {list(spans)}," if spans != kernel else ""
            example = [1, *[28] * len(kernel)]
            reason = (
                f"kernel {list(kernel)}{dilated} is larger than {list(x.shape[2:])} with its padding; "
                f"take a smaller kernel, or more padding (channels come first, as in model.input: {example})"
            )
            raise ShapeError(layer, reason, x=x)


def same_padding(size: int, span: int, stride: int) -> tuple[int, int]:
    """Zeros before and after for ``ceil(size / stride)`` windows; an odd one comes after, as in PyTorch."""
    total = max(0, (-(-size // stride) - 1) * stride + span - size)
    return total // 2, total - total // 2


def _kind(axes: int) -> str:
    return "images" if axes == 2 else "sequences"


def _names(axes: int) -> str:
    return "channels, height, width" if axes == 2 else "channels, length"
