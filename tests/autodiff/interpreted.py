"""Compiled plans without a compiler: the emitted source is Python, so Python can run it on the same table of addresses.

Slow, but it shows whether the source is right on a machine without Numba, for programs by the hundred.
"""

import ctypes

import numpy as np

from backprop_cli.autodiff import native

_C = {np.float32: ctypes.c_float, np.float64: ctypes.c_double, np.int64: ctypes.c_int64}


class _Table:
    """``table[k][i]``: element i behind the k-th address."""

    def __init__(self, address, number):
        self._addresses, self._number = ctypes.cast(address, ctypes.POINTER(ctypes.c_void_p)), number

    def __getitem__(self, k):
        return _Pointer(self._addresses[k], self._number)


class _Pointer:
    def __init__(self, address, number):
        self._elements, self._number = ctypes.cast(address, ctypes.POINTER(_C[number])), number

    def __getitem__(self, i):
        return self._number(self._elements[i])

    def __setitem__(self, i, value):
        self._elements[i] = _C[self._number](value)


class _Addresses(_Table):
    def __getitem__(self, k):
        return self._addresses[k]


def _gemm(number):
    def matrix(address, rows, columns, distance):
        memory = (_C[number] * (rows * distance)).from_address(address)
        return np.frombuffer(memory, number)[: rows * distance].reshape(rows, distance)[:, :columns]

    def operand(flag, address, rows, columns, distance):
        # The last row may end before its distance does: read no further.
        if flag == 112:
            rows, columns = columns, rows
        strided = np.empty((rows, columns), number)
        for row in range(rows):
            strided[row] = matrix(address + row * distance * strided.itemsize, 1, columns, columns)[0]
        return strided.T if flag == 112 else strided

    def gemm(order, flag_a, flag_b, rows, columns, inner, alpha, a, lda, b, ldb, beta, out, ldc):
        assert (order, alpha, beta, ldc) == (101, 1, 0, columns)
        product = operand(flag_a, a, rows, inner, lda) @ operand(flag_b, b, inner, columns, ldb)
        matrix(out, rows, columns, ldc)[...] = product

    return gemm


def machine_code(text):
    """What stands in for ``native._machine_code``."""
    names = {
        **{name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sqrt", "inf")},
        **{number.__name__: number for number in _C},
        "sgemm": _gemm(np.float32),
        "dgemm": _gemm(np.float64),
    }
    exec(text, names)

    def run(float32s, float64s, int64s, addresses):
        numbers = zip((float32s, float64s, int64s), _C, strict=True)
        names["run"](*(_Table(address, number) for address, number in numbers), _Addresses(addresses, None))

    return run


def install(monkeypatch):
    """Let ``Plan(..., compiled=True)`` run its source in Python."""
    monkeypatch.setattr(native, "_machine_code", machine_code)
