"""Columns that go with predictions: the file of a row, its time and group, and columns copied from the input."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from backprop_cli.data.table import Array

FILE = "file"
"""The column of each row's file."""


class RowLabels:
    """Columns of rows that were read, until the rows are predicted; ``names``: those that every row has."""

    def __init__(self, names: Iterable[str]):
        self.names = tuple(dict.fromkeys(names))
        self._waiting: deque[dict[str, Array]] = deque()
        self._skip, self._file, self._done = 0, "", 0
        self._files: Sequence[str] = ()

    def begin(self, file: str, files: Sequence[str] = ()) -> None:
        """Begin a file. ``files``: those of its rows, if it is a folder."""
        self._file, self._files, self._done = file, files, 0

    def skip(self, rows: int) -> None:
        """Leave out the next rows, which have no prediction: those before the end of the first window."""
        self._skip = rows

    def add(self, columns: Mapping[str, Array], count: int) -> None:
        """Add the next ``count`` rows."""
        if not self.names:
            return
        if FILE in self.names:
            own = self._files[self._done : self._done + count] if self._files else [self._file] * count
            columns = {**columns, FILE: np.array(own, object)}
        left_out = min(self._skip, count)
        self._skip, self._done = self._skip - left_out, self._done + count
        if left_out < count:
            self._waiting.append({name: values[left_out:] for name, values in columns.items()})

    def take(self, count: int) -> dict[str, Array]:
        """Take the columns of the next ``count`` rows."""
        parts: list[dict[str, Array]] = []
        while count and self.names:
            first = self._waiting.popleft()
            size = len(first[self.names[0]])
            parts.append({name: first[name][:count] for name in self.names})
            if size > count:
                self._waiting.appendleft({name: values[count:] for name, values in first.items()})
            count -= min(size, count)
        empty = np.empty(0, object)
        return {name: np.concatenate([part[name] for part in parts] or [empty]) for name in self.names}
