"""Elementwise ops: one ufunc with its arrays, so that nothing stands between the plan and NumPy."""

from __future__ import annotations

import math
from functools import cache, partial

import numpy as np

from backprop_cli.autodiff.families import Elementwise
from backprop_cli.autodiff.ops.arithmetic import Relu, Sign
from backprop_cli.autodiff.ops.comparison import Comparison, Where
from backprop_cli.autodiff.ops.copies import Copy
from backprop_cli.autodiff.ops.error_function import Erf, erf_of_double, erf_of_single
from backprop_cli.autodiff.ops.exponentials import Softplus
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.execution.kernels.kernel import Call, Calls, bind, copied, in_turn, into, runs_in_place, scratch

_SMALL = 768
"""Elements of a result up to which its operands are repeated before."""

_BOOL = np.dtype(np.bool_)


@bind.register(Elementwise)
def _(op: Elementwise, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """The bare ufunc. Arrays that broadcast are repeated before, where the result is small.

    Repeating takes 0.2 to 0.5 us; then NumPy goes through arrays of one shape in 0.2, where its iterator for others
    takes 0.9.
    """
    if not _is_bare(op):
        return partial(op.eval, *x, out=out)
    assert op.ufunc is not None
    operands: list[Array] = list(x)
    calls: Calls = []
    repeated = (k for k, array in enumerate(x) if _is_repeated(array, out))
    for k, room in zip(repeated, scratch, strict=False):
        if x[k].flags.c_contiguous:  # else NumPy would take from a copy
            operands[k] = room
            calls.append(partial(x[k].take, _places(x[k].shape, out.shape), None, room, "clip"))
    last = into(op.ufunc, *operands, out=out)
    return in_turn([*calls, last]) if calls else last


@scratch.register(Elementwise)
def _(op: Elementwise, *x: Spec) -> tuple[Spec, ...]:
    if not _is_bare(op) or len({spec.shape for spec in x}) == 1:
        return ()
    shape = np.broadcast_shapes(*(spec.shape for spec in x))
    return tuple(spec.with_shape(shape) for spec in x if _is_repeated(spec, spec.with_shape(shape)))


@runs_in_place.register(Elementwise)
def _(op: Elementwise) -> bool:
    """True, unless the class says ``in_place = False``: its ``eval`` reads an operand after it began to write."""
    return bool(getattr(op, "in_place", True))


def _is_bare(op: Elementwise) -> bool:
    return op.ufunc is not None and type(op).eval is Elementwise.eval


def _is_repeated(x: Spec | Array, out: Spec | Array) -> bool:
    return 1 < x.size < out.size <= _SMALL


@cache
def _places(shape: tuple[int, ...], to: tuple[int, ...]) -> Array:
    """For each element of a larger array, the flat index of the element that broadcasting repeats there."""
    return np.ascontiguousarray(np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), to))


@bind.register(Relu)
def _(op: Relu, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """The maximum with an array of zeros: against a single 0 NumPy's loop takes five times as long.

    The zeros are never written, so that the system backs them with one page.
    """
    return into(np.maximum, x[0], np.zeros(x[0].shape, x[0].dtype), out=out)


@runs_in_place.register(Sign)  # over its own operand NumPy takes 12 times as long
@runs_in_place.register(Where)
@runs_in_place.register(Erf)
def _(op: Sign | Where | Erf) -> bool:
    return False


@bind.register(Comparison)
def _(op: Comparison, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """Compare, then convert to numbers: 0.5 us for 32 x 16, where NumPy doing both at once takes 0.9."""
    assert op.ufunc is not None
    holds = scratch[0] if scratch else out
    compare = into(op.ufunc, *x, out=holds)
    return in_turn([compare, copied(holds, out=out)]) if scratch else compare


@scratch.register(Comparison)
def _(op: Comparison, *x: Spec) -> tuple[Spec, ...]:
    holds = Spec(np.broadcast_shapes(*(spec.shape for spec in x)), _BOOL)
    return (holds,) if holds.size > 1 else ()


@bind.register(Where)
def _(op: Where, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    return partial(_where, x[0], x[1], x[2], out, scratch[0])


def _where(condition: Array, x: Array, y: Array, out: Array, chosen: Array) -> None:
    np.not_equal(condition, 0, out=chosen)
    np.copyto(out, y)
    np.copyto(out, x, where=chosen)


@scratch.register(Where)
def _(op: Where, *x: Spec) -> tuple[Spec, ...]:
    return (Spec(x[0].shape, _BOOL),)


@bind.register(Softplus)
def _(op: Softplus, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    return partial(_softplus, x[0], out, scratch[0])


def _softplus(x: Array, out: Array, positive: Array) -> None:
    np.maximum(x, 0.0, out=positive)
    np.abs(x, out=out)
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.log1p(out, out=out)
    np.add(out, positive, out=out)


@scratch.register(Softplus)
def _(op: Softplus, *x: Spec) -> tuple[Spec, ...]:
    return x


@bind.register(Erf)
def _(op: Erf, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    return partial(erf_of_single if out.dtype == np.float32 else erf_of_double, x[0], out, *scratch)


@scratch.register(Erf)
def _(op: Erf, *x: Spec) -> tuple[Spec, ...]:
    return (*x, *x, *x, *(() if x[0].dtype == np.float32 else (Spec(x[0].shape, _BOOL),)))


@bind.register(Copy)
def _(op: Copy, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    return partial(np.copyto, out, x[0])
