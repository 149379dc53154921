"""The cost of one evaluation of an op, from the specs of its operands.

Here and not in ``accumulation``: rewriting asks for costs as well, and ``execution`` comes first.
"""

from __future__ import annotations

import math
from functools import singledispatch

from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.ops.copies import StopGradient
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.ops.pooling import Windowed
from backprop_cli.autodiff.ops.reduction import Amax, Sum
from backprop_cli.autodiff.ops.rows import SumRows, TakeRows
from backprop_cli.autodiff.ops.shape import Movement
from backprop_cli.autodiff.ops.softmax import Softmax
from backprop_cli.autodiff.spec import Spec


@singledispatch
def flops(op: Op, *x: Spec) -> int:
    """Floating-point operations."""
    return op.shape(*x).size


@singledispatch
def multiplications(op: Op, *x: Spec) -> int:
    """Multiplications that grow with a product of sizes, as in matrix products; else 0."""
    return 0


@singledispatch
def products(op: Op, *x: Spec) -> int:
    """Matrix products, each a call of BLAS, that the multiplications are spread over."""
    return 1


@flops.register(Movement)
@flops.register(StopGradient)
@flops.register(TakeRows)
def _(op: Movement | StopGradient | TakeRows, *x: Spec) -> int:
    return 0


@flops.register(Sum)
@flops.register(Amax)
@flops.register(SumRows)
def _(op: Sum | Amax | SumRows, *x: Spec) -> int:
    return x[0].size


@flops.register(Softmax)
def _(op: Softmax, *x: Spec) -> int:
    """Maximum, difference, exponential, sum, quotient."""
    return 5 * x[0].size


@flops.register(Windowed)
def _(op: Windowed, *x: Spec) -> int:
    return op.kernel * min(op.shape(*x).size, x[-1].size)


@flops.register(Matmul)
@flops.register(ConvolutionOp)
def _(op: Matmul | ConvolutionOp, *x: Spec) -> int:
    """A multiplication and an addition a term."""
    return 2 * multiplications(op, *x)


@multiplications.register(Matmul)
def _(op: Matmul, *x: Spec) -> int:
    return op.shape(*x).size * x[0].shape[-1]


@multiplications.register(ConvolutionOp)
def _(op: ConvolutionOp, *x: Spec) -> int:
    """Windows * numbers in all filters; windows on padding are counted whole."""
    sizes = op.sizes(*(spec.shape for spec in x))
    return sizes.down.windows * sizes.across.windows * sizes.batch * sizes.weights


@products.register(Matmul)
def _(op: Matmul, *x: Spec) -> int:
    """One for each of the leading indices."""
    return math.prod(op.shape(*x).shape[:-2])


@products.register(ConvolutionOp)
def _(op: ConvolutionOp, *x: Spec) -> int:
    """One for each row of windows and each group."""
    return op.sizes(*(spec.shape for spec in x)).down.windows * op.groups
