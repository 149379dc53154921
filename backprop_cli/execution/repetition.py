"""Repetition: runs of a compiled step in one call, each on other rows of arrays and with other constants."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.native import MachineCode, runtime

_MOST = 3
"""Gathers, and numbers, of a run."""


class _Gather(ctypes.Structure):
    _fields_ = (("source", ctypes.c_void_p), ("into", ctypes.c_void_p), ("bytes", ctypes.c_int64))


class _Number(ctypes.Structure):
    _fields_ = (("at", ctypes.c_void_p), ("bytes", ctypes.c_int64), ("weight", ctypes.c_double))


class _Repetition(ctypes.Structure):
    _fields_ = (
        ("run", ctypes.c_void_p),
        ("pieces", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("share", ctypes.c_void_p),
        ("batch", ctypes.c_int64),
        ("gathers", _Gather * _MOST),
        ("constants", ctypes.c_void_p),
        ("table", ctypes.c_void_p),
        ("constant_bytes", ctypes.c_int64),
        ("kept", ctypes.c_void_p),
        ("kept_bytes", ctypes.c_int64),
        ("numbers", _Number * _MOST),
        ("index", ctypes.c_void_p),
        ("room", ctypes.c_void_p),
        ("runs", ctypes.c_int64),
        ("seconds", ctypes.c_double),
        ("done", ctypes.c_int64),
        ("last", ctypes.c_double * _MOST),
        ("sums", ctypes.c_double * _MOST),
    )


class Repetition:
    """Runs of a step. Before a run, rows of arrays are gathered and ``constants``, the vector in it, are set.

    ``gathers``: pairs of arrays; rows of the first one go to the second. ``numbers``: outputs of a run, each with a
    weight; the weighted numbers are added up. ``kept``: an output that is kept of each run.
    """

    def __init__(
        self,
        code: MachineCode,
        gathers: Sequence[tuple[Array, Array]],
        constants: Array,
        numbers: Sequence[tuple[Array, float]],
        kept: Array | None,
    ):
        self._lives = code, gathers, constants, numbers, kept
        self._raw = raw = _Repetition(*code.words, len(gathers[0][1]))
        for place, (source, into) in enumerate(gathers):
            raw.gathers[place] = _Gather(source.ctypes.data, into.ctypes.data, into.nbytes // len(into))
        for place, (number, weight) in enumerate(numbers):
            raw.numbers[place] = _Number(number.ctypes.data, number.itemsize, weight)
        raw.constants, raw.constant_bytes = constants.ctypes.data, constants.nbytes
        if kept is not None:
            raw.kept, raw.kept_bytes = kept.ctypes.data, kept.nbytes
        function = runtime().repeat
        function.restype = None
        self.run: Callable[[], None] = partial(function, ctypes.byref(raw))
        """Run at least once. The results are in ``done``, ``last`` and ``sums``, even if a signal's handler raises."""

    @classmethod
    def of(
        cls,
        call: object,
        gathers: Sequence[tuple[object, Array]],
        constants: Array,
        numbers: Sequence[tuple[Array, float]],
        kept: Array | None,
    ) -> Repetition | None:
        """None if ``call`` is not of machine code, or rows cannot be copied as they are."""
        copied = [(source, into) for source, into in gathers if isinstance(source, np.ndarray) and _copy(source, into)]
        if not isinstance(call, MachineCode) or len(copied) < len(gathers):
            return None
        return cls(call, copied, constants, numbers, kept) if kept is None or kept.flags.c_contiguous else None

    def prepare(self, index: Array, table: Array, room: Array | None, seconds: float, sums: Sequence[float]) -> None:
        """Set up runs. They end at a number that is not finite, after the last row of ``table``, or after ``seconds``.

        A run takes the next row of ``table`` as its constants, gathers the next rows ``index`` (int64, contiguous), and
        keeps its output in the next rows of ``room``. The weighted numbers are added to ``sums``.
        """
        raw = self._raw
        raw.index, raw.table = index.ctypes.data, table.ctypes.data
        raw.room = None if room is None else room.ctypes.data
        raw.runs, raw.seconds, raw.done, raw.sums[:] = len(table), seconds, 0, sums

    @property
    def done(self) -> int:
        """Number of runs."""
        return int(self._raw.done)

    @property
    def last(self) -> list[float]:
        """The weighted numbers of the last run."""
        return list(self._raw.last)

    @property
    def sums(self) -> list[float]:
        """Their sums, added in the order of the runs."""
        return list(self._raw.sums)


def _copy(source: Array, into: Array) -> bool:
    """Whether rows of ``source`` are those of ``into``."""
    same = source.dtype == into.dtype and source.shape[1:] == into.shape[1:]
    return same and into.size > 0 and source.flags.c_contiguous and into.flags.c_contiguous
