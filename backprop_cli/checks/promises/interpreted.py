"""Compiled code without a compiler: the emitted source is Python, which can run it on the same table of addresses.

Slow, but it checks the source on a machine without a compiler.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from backprop_cli.autodiff.ops.convolution import (
    Convolution,
    ConvolutionOp,
    ConvolutionTranspose,
    ConvolutionWeight,
)
from backprop_cli.autodiff.ops.im2col import ConvolutionSizes
from backprop_cli.autodiff.ops.sweep import Sweep
from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.c_text import c_source
from backprop_cli.execution.codegen import Source
from backprop_cli.execution.groups import Group, Statement
from backprop_cli.execution.loops import ElementLoop
from backprop_cli.execution.native import Blocks, Step
from backprop_cli.execution.nest_text import Assignment, Assignments

_C: dict[Any, Any] = {np.float32: ctypes.c_float, np.float64: ctypes.c_double, np.int64: ctypes.c_int64}
_FUNCTIONS = ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sqrt", "inf")


class _Pointer:
    def __init__(self, address: int, number: Any):
        self._elements, self._number = ctypes.cast(address, ctypes.POINTER(_C[number])), number

    def __getitem__(self, i: int | slice) -> Any:
        if isinstance(i, slice):
            place = ctypes.addressof(self._elements.contents) + i.start * ctypes.sizeof(_C[self._number])
            return _Pointer(place, self._number)
        return self._number(self._elements[i])

    def elements(self, count: int) -> Array:
        """The first elements behind the pointer."""
        return np.ctypeslib.as_array(self._elements, (count,))

    def __setitem__(self, i: int, value: Any) -> None:
        self._elements[i] = _C[self._number](value)


class _Table:
    """``table[k][i]``: element i behind the k-th address."""

    def __init__(self, address: Any, number: Any):
        self._addresses, self._number = ctypes.cast(address, ctypes.POINTER(ctypes.c_void_p)), number

    def __getitem__(self, k: int) -> Any:
        return _Pointer(self._addresses[k] or 0, self._number)


def _strided(x: _Pointer, shape: tuple[int, ...], steps: tuple[int, ...]) -> Array:
    """The array behind a pointer, with ``steps`` counted in elements."""
    memory = x.elements(1 + sum((n - 1) * step for n, step in zip(shape, steps, strict=True)))
    return as_strided(memory, shape, [step * memory.itemsize for step in steps])


def _product(rows: int, columns: int, inner: int, *operands: Any) -> None:
    a, a_row, a_inner, b, b_inner, b_column, out, out_row = operands
    left, right = _strided(a, (rows, inner), (a_row, a_inner)), _strided(b, (inner, columns), (b_inner, b_column))
    _strided(out, (rows, columns), (out_row, 1))[...] = left @ right


def _convolution(kind: type[ConvolutionOp]) -> Callable[..., None]:
    def run(first: int, last: int, *given: Any) -> None:
        batch, groups, channels, filters, down, across, *arrays = given
        sizes = ConvolutionSizes(batch, groups, channels, filters, _sweep(*down), _sweep(*across))
        shapes = {
            "image": (down[0], groups * channels, across[0], batch),
            "weight": (groups * filters, channels, down[1], across[1]),
            "result": (down[5], groups * filters, across[5], batch),
        }
        x, y, out = (
            array.elements(math.prod(shapes[role])).reshape(shapes[role])
            for role, array in zip(kind.roles, arrays, strict=True)
        )
        memory, whole = [np.empty(size, out.dtype) for size in kind().memory(sizes)], np.empty_like(out)
        for call in kind().calls(sizes, x, y, whole, memory):
            call()
        if kind is ConvolutionWeight:
            out.reshape(groups, filters, -1)[:, first:last] = whole.reshape(groups, filters, -1)[:, first:last]
        elif len(out) > 1:
            out[first:last] = whole[first:last]
        else:
            out[:, :, first:last] = whole[:, :, first:last]

    return run


def _sweep(size: int, kernel: int, stride: int, dilation: int, before: int, windows: int) -> Sweep:
    """The sweep with so many windows."""
    after = (windows - 1) * stride + (kernel - 1) * dilation + 1 - before - size
    return Sweep(size, kernel, stride, dilation, before, after)


def machine_code(texts: Sequence[str]) -> Callable[[Sequence[Step], int], Callable[[], None]]:
    """The replacement of ``native.machine_code``."""
    functions = [_run(text) for text in texts]

    def bind(steps: Sequence[Step | Blocks], threads: int) -> Callable[[], None]:
        def run() -> None:
            for step in steps:
                if isinstance(step, Blocks):
                    for first in reversed(range(0, step.rows, step.block)):  # in an order that threads may choose
                        for number, arrays in step.steps:
                            functions[number](arrays, first, min(first + step.block, step.rows))
                else:
                    functions[step[0]](step[1])

        return run

    return bind


def _run(text: str) -> Callable[..., None]:
    names: dict[str, Any] = {
        **{name: getattr(np, name) for name in _FUNCTIONS},
        **{number.__name__: number for number in _C},
        "erf": math.erf,
        "pow": np.power,
        "shared": range,
        "product": _product,
        "convolution": _convolution(Convolution),
        "convolution_transpose": _convolution(ConvolutionTranspose),
        "convolution_weight": _convolution(ConvolutionWeight),
    }
    exec(text, names)

    def run(arrays: Sequence[Array], first: int = 0, last: int = 0) -> None:
        table = (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
        names["run"](*(_Table(table, number) for number in _C), first, last)

    return run


def carry_out(loops: Sequence[ElementLoop]) -> None:
    """Run the source of some loops in Python, one after the other."""
    for loop in loops:
        nothing = (None,) * len(loop.operands)
        group = Group.of(Statement.of(loop, None, nothing))
        source = Source(Assignments(group.sizes, group.rows, ((Assignment(loop, nothing, True),),)))
        c_source([source.text()], ())  # what has no meaning in C cannot be compiled
        with np.errstate(all="ignore"):
            _run(source.text())(source.arrays)
