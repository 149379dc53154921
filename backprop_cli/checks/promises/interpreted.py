"""Compiled code without a compiler: the emitted source is Python, which can run it on the same table of addresses.

Slow, but it checks the source on a machine without a compiler.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.c_text import c_source
from backprop_cli.execution.codegen import Assignment, Assignments, Source
from backprop_cli.execution.element_loop import ElementLoop

_C: dict[Any, Any] = {np.float32: ctypes.c_float, np.float64: ctypes.c_double, np.int64: ctypes.c_int64}
_FUNCTIONS = ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sqrt", "inf")


class _Pointer:
    def __init__(self, address: int, number: Any):
        self._elements, self._number = ctypes.cast(address, ctypes.POINTER(_C[number])), number

    def __getitem__(self, i: int) -> Any:
        return self._number(self._elements[i])

    def __setitem__(self, i: int, value: Any) -> None:
        self._elements[i] = _C[self._number](value)


class _Table:
    """``table[k][i]``: element i behind the k-th address."""

    def __init__(self, address: Any, number: Any):
        self._addresses, self._number = ctypes.cast(address, ctypes.POINTER(ctypes.c_void_p)), number

    def __getitem__(self, k: int) -> Any:
        return _Pointer(self._addresses[k] or 0, self._number)


class _Addresses(_Table):
    def __getitem__(self, k: int) -> Any:
        return self._addresses[k]


def _gemm(number: Any) -> Callable[..., None]:
    def matrix(address: int, rows: int, columns: int, distance: int) -> Array:
        memory = (_C[number] * (rows * distance)).from_address(address)
        return np.frombuffer(memory, number)[: rows * distance].reshape(rows, distance)[:, :columns]

    def operand(flag: int, address: int, rows: int, columns: int, distance: int) -> Array:
        # The last row may end before its distance does: read no further.
        if flag == 112:
            rows, columns = columns, rows
        strided = np.empty((rows, columns), number)
        for row in range(rows):
            strided[row] = matrix(address + row * distance * strided.itemsize, 1, columns, columns)[0]
        return strided.T if flag == 112 else strided

    def gemm(*call: Any) -> None:
        order, flag_a, flag_b, rows, columns, inner, alpha, a, lda, b, ldb, beta, out, ldc = call
        assert (order, alpha, beta, ldc) == (101, 1, 0, columns)
        product = operand(flag_a, a, rows, inner, lda) @ operand(flag_b, b, inner, columns, ldb)
        matrix(out, rows, columns, ldc)[...] = product

    return gemm


def machine_code(texts: Sequence[str]) -> list[Callable[..., None]]:
    """The replacement of ``native.machine_code``."""
    return [_run(text) for text in texts]


def _run(text: str) -> Callable[..., None]:
    names: dict[str, Any] = {
        **{name: getattr(np, name) for name in _FUNCTIONS},
        **{number.__name__: number for number in _C},
        "sgemm": _gemm(np.float32),
        "dgemm": _gemm(np.float64),
    }
    exec(text, names)

    def run(table: Any, *_: Any) -> None:
        names["run"](*(_Table(table, number) for number in _C), _Addresses(table, None))

    return run


def carry_out(loop: ElementLoop) -> None:
    """Run the source of one loop in Python."""
    nothing = (None,) * len(loop.operands)
    source = Source([Assignments((Assignment(loop, nothing, nothing, True),))])
    table = (ctypes.c_void_p * len(source.arrays))(*(array.ctypes.data for array in source.arrays))
    c_source([source.text()], (), 8)  # what has no meaning in C cannot be compiled
    with np.errstate(all="ignore"):
        _run(source.text())(ctypes.c_void_p(ctypes.addressof(table)))
