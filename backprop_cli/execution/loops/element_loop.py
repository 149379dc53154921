"""An op as assignments per element, in loops over strided arrays."""

from __future__ import annotations

import re
from functools import cache, cached_property, singledispatch
from typing import Any, NamedTuple

import numpy as np

from backprop_cli.autodiff.families import Elementwise
from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.arithmetic import Maximum, Power
from backprop_cli.autodiff.ops.comparison import OneHot
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.loop_axes import Axes, Strides, merged
from backprop_cli.structs import Struct

_LIBRARY = re.compile(r"\b(sin|cos|pow)\(")

LARGER = Maximum.expression.replace("{1}", "{out}")
"""The largest so far, where NaN stays."""


Key = tuple[int, str, Strides]
"""Where an array is at each index of a nest: address, dtype, strides."""


class Shift(NamedTuple):
    """The element of an array is chosen by integers: its address moves by ``stride`` bytes times an operand.

    ``by``: the number of that operand, whose elements are in [0, size). Others count as the nearest of these.
    """

    by: int
    stride: int
    size: int


class ElementLoop(Struct):
    """For every index: ``out[index] = expression(operands[index])``.

    ``operands`` and ``out`` are arrays of one shape, the shape of the index; broadcast axes have strides of 0. The
    expression is Python with the functions of ``math``; ``{0}``, ``{1}``, ... stand for the operands, ``{out}`` for
    what is in ``out``, ``{zero}`` and ``{one}`` for numbers of the result's precision.

    A reduction has strides of 0 in ``out`` along the reduced axes: its expression reads ``{out}`` and is evaluated for
    one index after the other. If it has a ``start``, ``out`` is set to it before.

    ``shifted``: the operand that integers choose elements of, and how; ``put``: the same for ``out``.
    """

    expression: str
    operands: tuple[Array, ...]
    out: Array
    start: str = ""
    shifted: tuple[tuple[int, Shift], ...] = ()
    put: Shift | None = None

    @property
    def functions(self) -> frozenset[str]:
        """The functions of the C library that it calls for every element."""
        return _functions(self.expression)

    @cached_property
    def arrays(self) -> tuple[Array, ...]:
        """The operands and ``out``."""
        return *self.operands, self.out

    @cached_property
    def addresses(self) -> tuple[int, ...]:
        """Of the first elements of ``arrays``."""
        return tuple(map(address, self.arrays))

    @cached_property
    def axes(self) -> Axes:
        """The axes of ``arrays``."""
        return merged(self.out.shape, [array.strides for array in self.arrays])

    def key(self, number: int, strides: Strides) -> Key:
        """The place of one of ``arrays``."""
        return self.addresses[number], self.arrays[number].dtype.str, strides


@cache
def _functions(expression: str) -> frozenset[str]:
    return frozenset(_LIBRARY.findall(expression))


@cache
def name_of(dtype: np.dtype[Any]) -> str:
    """Its name. NumPy takes 2 us to find it."""
    return dtype.name


def address(array: Array) -> int:
    """Of the first element. NumPy takes 1 us to tell it."""
    found: int = array.__array_interface__["data"][0]
    return found


@singledispatch
def element_loops(op: Op, *x: Array, out: Array) -> tuple[ElementLoop, ...]:
    """The op's ``eval`` as loops over elements, one after the other; none leaves the op to NumPy.

    The loops may write into arrays of their own, which the result then keeps.
    """
    return ()


@element_loops.register(Elementwise)
def _(op: Elementwise, *x: Array, out: Array) -> tuple[ElementLoop, ...]:
    return _elementwise(op.expression, x, out) if op.expression else ()


@element_loops.register(Power)
def _(op: Power, *x: Array, out: Array) -> tuple[ElementLoop, ...]:
    return _elementwise(f"pow({{0}}, {out.dtype.name}({float(op.exponent)!r}))", x, out)


def _elementwise(expression: str, x: tuple[Array, ...], out: Array) -> tuple[ElementLoop, ...]:
    return (ElementLoop(expression, tuple(_broadcast(array, out.shape) for array in x), out),)


def _broadcast(array: Array, shape: tuple[int, ...]) -> Array:
    return array if array.shape == shape else np.broadcast_to(array, shape)


@element_loops.register(OneHot)
def _(op: OneHot, *x: Array, out: Array) -> tuple[ElementLoop, ...]:
    """Each label against each class."""
    labels, classes = np.broadcast_arrays(x[0][..., None], np.arange(op.classes))
    return (ElementLoop("{one} if {0} == {1} else {zero}", (labels, classes), out),)


@element_loops.register(Matmul)
def _(op: Matmul, *x: Array, out: Array) -> tuple[ElementLoop, ...]:
    """Products with a vector; those of two matrices are calls of ``tiles.c``."""
    a, b = x
    if a.ndim != 2 or b.ndim != 2 or min(a.shape[0], b.shape[1]) > 1:
        return ()
    over = (a.shape[0], b.shape[1], a.shape[1])
    operands = np.broadcast_to(a[:, None, :], over), np.broadcast_to(b.T[None, :, :], over)
    return (ElementLoop("{out} + {0} * {1}", operands, np.broadcast_to(out[:, :, None], over), start="{zero}"),)
