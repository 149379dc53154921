"""Examples as arrays: a split, and all splits of a configuration with their fitted transform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from backprop_cli.data.table import Array, CellValue
from backprop_cli.data.transform import Transform
from backprop_cli.structs import Struct


@dataclass(frozen=True, eq=False)
class Windows:
    """Example i is ``values[starts[i] : starts[i] + length]``; windows may overlap without taking memory twice.

    ``lengths``: example i has only its first ``lengths[i]`` entries, and ``fill`` for the others; None: all of them.
    Like an array it has ``len``, ``shape`` and ``dtype``, can be indexed, and has ``take``.

    Shapes: values (rows, *rest); starts int64 (examples,); an example (length, *rest), or ``example_shape`` of equal
        size.
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
        """Put the examples ``index`` (count,) into ``out`` (count, *example_shape), like ``ndarray.take``.

        2 us for 12 windows of 64 tokens, 5 if some are shorter.
        """
        into = out.reshape(len(index), *self._view.shape[1:])
        # One gathering copy, which also converts. Taking single entries by a table of indexes is twice as slow.
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
        """All examples at once, with overlaps repeated."""
        return self[:].astype(dtype or self.dtype, copy=False)


class Split(Struct, eq=False):
    """Examples in the file's order: C-contiguous arrays, or windows that are gathered on demand.

    ``rows``: the place of each example in its file, as in messages: the line, from 1; of an array the row, from 0.
    ``apart``: the data as windows that do not overlap, for metrics; None if these do not. ``weights`` of the examples
    in the loss; None: all equal. ``target_at``: the place of a target in its file, by its index among the targets, for
    the head of a message. ``exact``: the targets of a regression as read, in their own unit, for metrics; None if equal
    to ``targets``. ``baselines``: predictions made without a network, by name, in the targets' own unit; NaN where
    unknown.

    Shapes: inputs (examples, *input_shape); targets int64 (examples,) for classes, int64 (examples, positions) for
        tokens, else (examples, outputs); rows int64 (examples,), or None if the arrays came from no file; weights
        float64 (examples,); exact and baselines float64 (examples, outputs)
    """

    inputs: Array | Windows
    targets: Array | Windows
    rows: Array | None = None
    apart: Split | None = None
    weights: Array | None = None
    target_at: Callable[[tuple[int, ...]], str] | None = None
    baselines: Mapping[str, Array] = field(default_factory=dict)
    exact: Array | None = None

    def __len__(self) -> int:
        return len(self.inputs)


class Dataset(NamedTuple):
    """The splits of one ``data`` section, and the transform fitted on the train split.

    ``files``: sha256 of each file read, by its absolute path.
    """

    train: Split
    validation: Split | None
    test: Split | None
    transform: Transform
    files: Mapping[str, str] = MappingProxyType({})

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.transform.input_shape

    @property
    def classes(self) -> list[CellValue] | None:
        """The classes in the order of the outputs; of one binary target, the values for 0 and 1; else None."""
        return self.transform.classes

    @property
    def target_names(self) -> list[str]:
        """The name of each output for numbers and binary targets; for classes the target's column."""
        return self.transform.target_names

    @property
    def feature_names(self) -> list[str]:
        """The name of each input."""
        return self.transform.feature_names

    @property
    def splits(self) -> dict[str, Split]:
        """The existing splits, by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}

    @property
    def measured(self) -> dict[str, Split]:
        """The splits for metrics, by name: every token counts once."""
        return {name: split.apart or split for name, split in self.splits.items()}

    def class_counts(self) -> list[int]:
        """Examples of each class in the train split, in the order of ``classes``.

        Raises: ValueError for targets that are not classes.
        """
        if self.classes is None or self.transform.text is not None:
            raise ValueError("these targets are not classes")
        counts = np.bincount(np.asarray(self.train.targets, np.int64).ravel(), minlength=len(self.classes))
        return [int(count) for count in counts]
