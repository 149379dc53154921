"""Training on known categories as if the train split lacked them, so that a network learns to read other ones."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.features import Coded
from backprop_cli.data.table import Array
from backprop_cli.data.transform import Transform

RATE = 0.02
"""Probability that a train example's category is read as other, for each column and epoch."""
_STREAM = 0x07E41  # separates these random numbers from other uses of the seed


class _Place(NamedTuple):
    """The inputs of a column: ``begin`` and ``end`` among those of a row, and the number of other categories."""

    begin: int
    end: int
    other: int
    one_hot: bool


class CategoryDropout:
    """Reads known categories as other. Seed, epoch and position in the epoch decide which.

    All rows of a window have the same columns dropped. Missing values stay missing.
    """

    def __init__(self, transform: Transform, examples: int, seed: int):
        self._examples, self._seed, self._epoch = examples, seed, -1
        self._places, self._width = list[_Place](), 0
        for feature in transform.features:
            end = self._width + feature.width
            if isinstance(feature, Coded) and feature.other:
                self._places.append(_Place(self._width, end, len(feature.categories), feature.one_hot))
            self._width = end
        self._positions: list[NDArray[np.int64]] = []
        self._sorted: list[list[int]] = []  # the same as lists, which bisect searches ten times as fast

    def __bool__(self) -> bool:
        return bool(self._places)

    def __call__(self, inputs: Array, epoch: int, start: int) -> None:
        """Change the inputs (batch, *input_shape) of the examples from position ``start`` of the epoch's order."""
        if epoch != self._epoch:
            self._draw(epoch)
        rows, end = inputs.reshape(len(inputs), -1, self._width), start + len(inputs)
        for place, positions, ordered in zip(self._places, self._positions, self._sorted, strict=True):
            first, last = bisect_left(ordered, start), bisect_left(ordered, end)
            if first < last:
                _drop(rows[:, :, place.begin : place.end], positions[first:last] - start, place)

    @contextmanager
    def during(self, inputs: Array, epoch: int, order: Array) -> Iterator[None]:
        """Change the inputs (examples, *input_shape) of an epoch in place, and put them back at its end.

        The batches are those of ``__call__``, but steps need no help of Python.
        """
        if epoch != self._epoch:
            self._draw(epoch)
        rows = order[np.unique(np.concatenate(self._positions))]
        before, flat = inputs[rows], inputs.reshape(len(inputs), 1, self._width)
        try:
            for place, positions in zip(self._places, self._positions, strict=True):
                _drop(flat[:, :, place.begin : place.end], order[positions], place)
            yield
        finally:
            inputs[rows] = before

    def _draw(self, epoch: int) -> None:
        """Draw the positions for a whole epoch: a batch without any then takes a microsecond."""
        rng, self._epoch = np.random.default_rng([self._seed, _STREAM, epoch]), epoch
        self._positions = [np.flatnonzero(rng.random(self._examples) < RATE) for _ in self._places]
        self._sorted = [positions.tolist() for positions in self._positions]


def _drop(inputs: Array, chosen: NDArray[np.int64], place: _Place) -> None:
    """Replace the known categories of the ``chosen`` examples. ``inputs`` (examples, rows, inputs of the column)."""
    values = inputs[chosen]
    if place.one_hot:
        known = values[..., : place.other]
        values[..., place.other] += known.sum(axis=-1)
        known[...] = 0
    else:
        values[values < place.other] = place.other
    inputs[chosen] = values
