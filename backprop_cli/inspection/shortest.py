"""Single-precision numbers as double-precision ones with the same shortest text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEAST, _MOST = 6, 9
"""Digits that a number of single precision may need: six always survive, nine always tell neighbours apart."""
_SMALLEST, _LARGEST = 1e-3, 1e9  # between them, all products are exact
_TENS = 10.0 ** np.arange(13)


def shortest(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """``float(str(value))`` of each value: the float whose ``repr`` is the shortest text that reads back equal.

    Shapes: (n,) -> (n,)
    """
    out = values.astype(np.float64)
    size = np.abs(out)
    # Below a power of two the neighbours are nearer than above it: the nearest decimal need not be the shortest.
    sound = (size >= _SMALLEST) & (size < _LARGEST) & (np.frexp(size)[0] != 0.5)
    rows = np.flatnonzero(sound)
    place = np.floor(np.log10(size[rows])).astype(np.int64)
    for digits in range(_LEAST, _MOST + 1):
        scale = digits - 1 - place
        up, down = _TENS.take(scale, mode="clip"), _TENS.take(-scale, mode="clip")
        near = np.rint(out[rows] * up / down) / up * down
        same = near.astype(np.float32) == values[rows]
        out[rows[same]] = near[same]
        rows, place = rows[~same], place[~same]
    others = np.append(rows, np.flatnonzero(~sound & (size != 0)))
    out[others] = [float(str(value)) for value in values[others]]
    return out
