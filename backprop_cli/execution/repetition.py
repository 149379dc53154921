"""Repetition: runs of a compiled step in one call, each on other rows of arrays and with other constants."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.native import MachineCode, runtime

Rows = tuple[Array, int]
"""A contiguous array, and the first of the rows in it that are meant."""

_MOST = 3
"""Gathers, and numbers, of a run."""

# The fields of a ``block`` in C: where its rows begin, and limits; its results. Setting them one by one takes 3 us.
_GIVEN, _RESULTS = struct.Struct("@3Pqd"), struct.Struct(f"@q{2 * _MOST}d")
_NONE = (0.0,) * _MOST


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
        ("constant_bytes", ctypes.c_int64),
        ("constant_count", ctypes.c_int64),
        ("kept", ctypes.c_void_p),
        ("kept_bytes", ctypes.c_int64),
        ("numbers", _Number * _MOST),
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
        self._memory = code, gathers, constants, numbers, kept  # lives as long as the addresses
        self._raw = raw = _Repetition(*code.words, len(gathers[0][1]))
        for place, (source, into) in enumerate(gathers):
            raw.gathers[place] = _Gather(source.ctypes.data, into.ctypes.data, into.nbytes // len(into))
        for place, (number, weight) in enumerate(numbers):
            raw.numbers[place] = _Number(number.ctypes.data, number.itemsize, weight)
        raw.constants = constants.ctypes.data
        raw.constant_bytes, raw.constant_count = constants.itemsize, constants.size
        if kept is not None:
            raw.kept, raw.kept_bytes = kept.ctypes.data, kept.nbytes
        self._known: list[tuple[Array | None, int]] = [(None, 0)] * 3
        self._block = bytearray(_GIVEN.size + _RESULTS.size)
        block = (ctypes.c_char * len(self._block)).from_buffer(self._block)
        function = runtime().repeat
        function.restype = None
        self.run: Callable[[], None] = partial(function, ctypes.byref(raw), ctypes.byref(block))
        """Run at least once. ``results`` are complete even if a signal's handler raises an exception."""

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
        same = [(x, into) for x, into in gathers if isinstance(x, np.ndarray) and _have_same_rows(x, into)]
        if not isinstance(call, MachineCode) or len(same) < len(gathers):
            return None
        return cls(call, same, constants, numbers, kept) if kept is None or kept.flags.c_contiguous else None

    def prepare(
        self, index: Rows, table: Rows, room: Rows | None, runs: int, seconds: float, sums: Sequence[float]
    ) -> None:
        """Set up ``runs`` runs, or fewer: they end at a number that is not finite, or after ``seconds``.

        A run takes the next row of ``table`` (float64) as its constants, gathers the next rows ``index`` (int64), and
        keeps its output in the next rows of ``room``. The weighted numbers are added to ``sums``.
        """
        places = self._address(0, *index), self._address(1, *table), 0 if room is None else self._address(2, *room)
        _GIVEN.pack_into(self._block, 0, *places, runs, seconds)
        _RESULTS.pack_into(self._block, _GIVEN.size, 0, *_NONE, *sums)

    def _address(self, role: int, array: Array, row: int) -> int:
        """The address of a row, of the array that had this role the last time, if it is the same."""
        known, address = self._known[role]
        if known is not array:
            address = array.ctypes.data  # 1 us
            self._known[role] = array, address
        return address + row * array.strides[0]

    @property
    def results(self) -> tuple[int, Sequence[float], Sequence[float]]:
        """The number of runs, the weighted numbers of the last one, and their sums, added in the order of the runs."""
        done, *numbers = _RESULTS.unpack_from(self._block, _GIVEN.size)
        return done, numbers[:_MOST], numbers[_MOST:]


def _have_same_rows(source: Array, into: Array) -> bool:
    """Whether rows can be copied as they are."""
    same = source.dtype == into.dtype and source.shape[1:] == into.shape[1:]
    return same and into.size > 0 and source.flags.c_contiguous and into.flags.c_contiguous
