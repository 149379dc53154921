"""Columns that go with predictions: the file of a row, its time and group, and columns copied from the input."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from backprop_cli.data.table import Array

FILE = "file"
"""The column of each row's file."""


class RowLabels:
    """Columns of rows that were read, until the rows are predicted. ``file``: the first is the file of each row.

    ``names``: the columns that every row has. ``file`` may be among them twice, once as a column of the input.
    """

    def __init__(self, columns: Iterable[str], *, file: bool = False):
        self._columns, self._has_file = tuple(dict.fromkeys(columns)), file
        self.names = (FILE, *self._columns) if file else self._columns
        self._waiting: deque[list[Array]] = deque()
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
        found = [columns[name] for name in self._columns]
        if self._has_file:
            own = self._files[self._done : self._done + count] if self._files else [self._file] * count
            found.insert(0, np.array(own, object))
        left_out = min(self._skip, count)
        self._skip, self._done = self._skip - left_out, self._done + count
        if left_out < count:
            self._waiting.append([values[left_out:] for values in found])

    def take(self, count: int) -> list[Array]:
        """Take the columns of the next ``count`` rows, in the order of ``names``."""
        parts: list[list[Array]] = []
        while count and self.names:
            first = self._waiting.popleft()
            size = len(first[0])
            parts.append([values[:count] for values in first])
            if size > count:
                self._waiting.appendleft([values[count:] for values in first])
            count -= min(size, count)
        empty = np.empty(0, object)
        return [np.concatenate([part[k] for part in parts] or [empty]) for k in range(len(self.names))]
