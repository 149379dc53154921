"""Rows chosen by integers, and their sums by integers."""

from __future__ import annotations

import numpy as np

from backprop_cli.autodiff.ops.rows import SumRows, TakeRows
from backprop_cli.autodiff.spec import Array
from backprop_cli.execution.loops.element_loop import ElementLoop, Shift, element_loops
from backprop_cli.execution.loops.movement_loops import cleared

Loops = tuple[ElementLoop, ...]


@element_loops.register(TakeRows)
def _(op: TakeRows, *x: Array, out: Array) -> Loops:
    table, rows = x
    if not len(table):
        return ()
    operands = np.broadcast_to(table[0], out.shape), np.broadcast_to(rows[..., None], out.shape)
    return (ElementLoop("{0}", operands, out, shifted=((0, Shift(1, table.strides[0], len(table))),)),)


@element_loops.register(SumRows)
def _(op: SumRows, *x: Array, out: Array) -> Loops:
    """Zeros, to which the rows are added."""
    values, rows = x
    if not len(out):
        return (cleared(out),)
    operands = values, np.broadcast_to(rows[..., None], values.shape)
    place = np.broadcast_to(out[0], values.shape)
    return cleared(out), ElementLoop("{out} + {0}", operands, place, put=Shift(1, out.strides[0], len(out)))
