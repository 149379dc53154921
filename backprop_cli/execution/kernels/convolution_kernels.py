"""Convolutions: the calls of ``im2col``, with memory for weights and windows from the plan."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.execution.kernels.kernel import Call, bind, in_turn, scratch


@scratch.register(ConvolutionOp)
def _(op: ConvolutionOp, *x: Spec) -> tuple[Spec, ...]:
    """Room for the weights in another order, and for the pixels that some of the windows read."""
    dtype = np.result_type(*(spec.dtype for spec in x))
    return tuple(Spec((size,), dtype) for size in op.memory(op.sizes(*(spec.shape for spec in x))))


@bind.register(ConvolutionOp)
def _(op: ConvolutionOp, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Call:
    if not all(array.size for array in x):
        return partial(out.fill, 0)
    if not all(array.flags.c_contiguous for array in x):
        return partial(op.eval, *x, out=out)
    return in_turn(op.calls(op.sizes(*(array.shape for array in x)), x[0], x[1], out, scratch))
