"""Edges of the bins of a column of numbers: quantiles, or the thresholds of a small decision tree."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from backprop_cli.autodiff import Array

Floats = NDArray[np.float64]

_CELLS = 256
"""Most intervals between which a tree may split: finer thresholds hardly change what it finds."""
_FEWEST = 64
"""Fewest examples on each side of a split, as the paper's tuned trees have on the average."""


def quantile_edges(column: Floats, count: int) -> Floats:
    """The distinct quantiles of ``count`` bins with as many examples each, increasing."""
    return np.unique(np.quantile(column, np.linspace(0.0, 1.0, count + 1)))


def tree_edges(column: Floats, targets: Array, count: int) -> Floats:
    """Minimum, maximum, and the thresholds between at most ``count`` leaves of a tree that predicts the targets.

    The tree splits the leaf whose split lowers the sum of squared distances to the means of the leaves the most. For
    classes, as 0 and 1 each, that is the Gini impurity.

    Shapes: column (examples,); targets int64 (examples,) for classes, else (examples, ...)
    """
    cells, starts = _cells(column)
    sums = _sums(cells, len(starts), _numbers(targets))
    tree = _Tree(np.bincount(cells, minlength=len(starts)), sums)
    inner = [0.5 * (starts[cut] + column[cells == cut - 1].max()) for cut in tree.cuts(count)]
    return np.unique([column.min(), *inner, column.max()])


def _cells(column: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The cell of each example, and the smallest value of each cell."""
    values = np.unique(column)
    if len(values) > _CELLS:
        values = np.unique(np.quantile(column, np.linspace(0.0, 1.0, _CELLS + 1)[:-1], method="higher"))
    return np.searchsorted(values, column, side="right") - 1, values


def _numbers(targets: Array) -> Floats:
    """Targets as numbers (examples, n), with mean 0: classes as 0 and 1 each."""
    rows = targets.reshape(len(targets), -1)
    if rows.dtype.kind in "iu":
        rows = rows[:, :1] == np.unique(rows)
    numbers = rows.astype(np.float64)
    return np.asarray(numbers - numbers.mean(axis=0))


def _sums(cells: NDArray[np.int64], count: int, numbers: Floats) -> Floats:
    """Sums of the numbers in each cell (count, n)."""
    return np.stack([np.bincount(cells, column, minlength=count) for column in numbers.T], axis=1)


class _Tree:
    """A tree over neighbouring cells. ``counts`` (cells,) and ``sums`` (cells, n): those of the examples in them."""

    def __init__(self, counts: NDArray[np.int64], sums: Floats):
        self._counts = np.concatenate([[0], np.cumsum(counts)])
        self._sums = np.concatenate([np.zeros((1, sums.shape[1])), np.cumsum(sums, axis=0)])

    def cuts(self, leaves: int) -> list[int]:
        """The first cells to the right of each split, of at most ``leaves`` leaves."""
        waiting, found = [self._split(0, len(self._counts) - 1)], list[int]()
        while len(found) < leaves - 1:
            gain, cut, start, stop = heapq.heappop(waiting)
            if gain >= 0.0:  # the best of all: no split lowers the sum
                break
            found.append(cut)
            for part in ((start, cut), (cut, stop)):
                heapq.heappush(waiting, self._split(*part))
        return found

    def _split(self, start: int, stop: int) -> tuple[float, int, int, int]:
        """The best split of the cells from ``start`` to ``stop``: minus its gain, its place, start, stop."""
        cuts = np.arange(start + 1, stop)
        gains = self._score(start, cuts) + self._score(cuts, stop) - self._score(start, np.array([stop]))
        sizes = self._counts[cuts] - self._counts[start], self._counts[stop] - self._counts[cuts]
        fewest = min(_FEWEST, max(1, int(self._counts[-1]) // 20))
        gains[(sizes[0] < fewest) | (sizes[1] < fewest)] = 0.0
        if not (gains > 1e-12 * self._counts[-1]).any():
            return 0.0, stop, start, stop
        best = int(np.argmax(gains))
        return -float(gains[best]), start + 1 + best, start, stop

    def _score(self, start: int | NDArray[np.int64], stop: int | NDArray[np.int64]) -> Floats:
        """``|sum|^2 / count`` of the cells from ``start`` to ``stop``: by it a mean lowers the squared distances."""
        total = self._sums[stop] - self._sums[start]
        count = self._counts[stop] - self._counts[start]
        return np.asarray(np.square(total).sum(axis=-1) / count)
