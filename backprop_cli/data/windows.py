"""Examples that are pieces of one long array, gathered when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from backprop_cli.data.table import Array


@dataclass(frozen=True, eq=False)
class Windows:
    """Example i is ``values[starts[i] : starts[i] + length]``; windows may overlap without taking memory twice.

    ``lengths``: example i has only the first ``lengths[i]`` of its entries, the others are ``fill``; None: all of them.
    As an array it can be asked for its ``len``, ``shape`` and ``dtype``, indexed, and taken from.

    Shapes: values (rows, *rest); starts int64 (examples,); an example (length, *rest), or ``example_shape``, of as many
            entries.
    """

    values: Array
    starts: NDArray[np.int64]
    length: int
    example_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    lengths: NDArray[np.int64] | None = None
    fill: int = 0
    _view: Array = field(init=False, repr=False)
    _places: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        view = sliding_window_view(self.values, self.length, axis=0)  # (rows, *rest, length)
        object.__setattr__(self, "_view", np.moveaxis(view, -1, 1))
        object.__setattr__(self, "_places", np.arange(self.length if self.lengths is not None else 0))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def shape(self) -> tuple[int, ...]:
        """(examples, *example_shape)."""
        return (len(self.starts), *self.example_shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 1 + len(self.example_shape)

    def take(self, index: Array, axis: int | None, out: Array, mode: str) -> Array:
        """Put the examples ``index`` (count,) into ``out`` (count, *example_shape); called as ``ndarray.take`` is.

        2 us for 12 windows of 64 tokens, 5 where some are shorter.
        """
        into = out.reshape(len(index), *self._view.shape[1:])
        # One gathering copy, which converts, too. Taking single entries by a table of indexes is twice as slow.
        into[...] = self._view[self.starts[index]]
        if self.lengths is not None:
            np.copyto(into, self.fill, where=self._places >= self.lengths[index, None])
        return out

    def __getitem__(self, key: int | slice | Array) -> Array:
        """The example, or the examples, as an array."""
        if isinstance(key, int | np.integer):
            example: Array = self[np.array([key])][0]
            return example
        index = np.arange(len(self))[key]
        return self.take(index, 0, np.empty((len(index), *self.example_shape), self.dtype), "clip")

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """All examples at once, each entry as often as it is in a window."""
        return self[:].astype(dtype or self.dtype, copy=False)
