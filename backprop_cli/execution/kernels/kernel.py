"""How a plan runs an op: as NumPy calls that are bound to their arrays once and repeated at each run.

Three functions of an op, with defaults that are right for any op: ``scratch`` and ``bind`` run its ``eval``, and
``runs_in_place`` is False. A faster way is registered for the op's type::

    @bind.register(Relu)
    def _(op: Relu, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
        return into(np.maximum, x[0], np.zeros(x[0].shape, x[0].dtype), out=out)

A faster way must give the bits of ``eval``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, singledispatch

import numpy as np

from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.structs import Struct

Call = Callable[[], object]
Calls = list[Call]


@singledispatch
def bind(op: Op, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    """The call that computes ``out`` from the arrays ``x``, whatever they hold by then."""
    return partial(op.eval, *x, out=out)


@singledispatch
def scratch(op: Op, *x: Spec) -> tuple[Spec, ...]:
    """The arrays that ``bind`` needs besides ``out``."""
    return ()


@singledispatch
def runs_in_place(op: Op) -> bool:
    """Whether ``out`` may be the memory of any operand of the same spec."""
    return False


_BY_NAME_ONLY = (np.maximum, np.minimum)
"""NumPy deprecates a third argument by position here: people take it for one more operand."""


def into(ufunc: np.ufunc, *x: Array | float, out: Array) -> Call:
    """``ufunc(*x, out=out)``, with ``out`` by position: 0.18 us for a small array, by name in a partial 0.37."""
    if ufunc not in _BY_NAME_ONLY:
        return partial(ufunc, *x, out)
    left, right = x

    def call() -> object:
        return ufunc(left, right, out=out)

    return call


def copied(x: Array, *, out: Array) -> Call:
    """``out[...] = x``: 0.19 us for a small array, where ``np.copyto`` takes 0.31."""
    return partial(out.__setitem__, ..., x)


class InTurn(Struct, eq=False):
    """Several calls as one. A plan takes them apart, so that its list holds NumPy's calls."""

    calls: tuple[Call, ...]

    def __call__(self) -> None:
        """Make them all."""
        for call in self.calls:
            call()


def in_turn(calls: Iterable[Call]) -> InTurn:
    """One call that makes them all."""
    return InTurn(tuple(calls))


def flat(call: Call) -> tuple[Call, ...]:
    """The calls that a call consists of."""
    return call.calls if isinstance(call, InTurn) else (call,)
