"""Derivatives of array programs; knows nothing of networks.

Build a program from values, differentiate it, run it::

    >>> import numpy as np
    >>> from backprop_cli import autodiff as ad
    >>> x = ad.input_("x", (3,))
    >>> loss = ad.sum(ad.square(ad.tanh(x)))
    >>> (gradient,) = ad.grad(loss, [x])
    >>> point = np.array([0.0, 0.5, 1.0])
    >>> value, slope = ad.evaluate([loss, gradient], {x: point})
    >>> print(value.round(4), slope.round(4))
    0.7936 [0.     0.7269 0.6397]

The gradient is itself a program, so it can be differentiated again (``ad.hvp``, ``ad.jvp``).
"""

from backprop_cli.autodiff.evaluate import evaluate
from backprop_cli.autodiff.functions import (
    absolute,
    add,
    amax,
    broadcast_to,
    cast,
    clip,
    concat,
    copy,
    cos,
    divide,
    equal,
    erf,
    exp,
    expm1,
    fused_softmax,
    greater,
    greater_equal,
    less,
    log,
    log1p,
    log_softmax,
    logsumexp,
    matmul,
    maximum,
    mean,
    minimum,
    multiply,
    negative,
    norm,
    one_hot,
    power,
    relu,
    reshape,
    sigmoid,
    sign,
    sin,
    slice_,
    softmax,
    softplus,
    sqrt,
    square,
    stop_gradient,
    subtract,
    sum,
    take_rows,
    tanh,
    transpose,
    variance,
    where,
)
from backprop_cli.autodiff.op import OPS, Op, Sample
from backprop_cli.autodiff.program import Program
from backprop_cli.autodiff.spatial import (
    average_pool,
    convolution,
    convolution_transpose,
    global_average_pool,
    global_max_pool,
    interpolate,
    max_pool,
    repeat,
)
from backprop_cli.autodiff.spec import Array, Spec, spec_of
from backprop_cli.autodiff.transforms import grad, hvp, jacobian, jvp, vectorized, vjp
from backprop_cli.autodiff.value import Operand, Value, constant, input_, scope, toposort

__all__ = [
    "OPS", "Array", "Op", "Operand", "Program", "Sample", "Spec", "Value", "absolute", "add",
    "amax", "average_pool", "broadcast_to", "cast", "clip", "concat", "constant",
    "convolution", "convolution_transpose", "copy", "cos", "divide", "equal", "erf", "evaluate", "exp", "expm1",
    "fused_softmax", "global_average_pool", "global_max_pool", "grad", "greater", "greater_equal",
    "hvp", "input_", "interpolate", "jacobian", "jvp", "less", "log", "log1p", "log_softmax", "logsumexp", "matmul",
    "max_pool", "maximum", "mean", "minimum", "multiply", "negative", "norm", "one_hot", "power", "relu", "repeat",
    "reshape", "scope", "sigmoid", "sign", "sin", "slice_", "softmax", "softplus", "spec_of",
    "sqrt", "square", "stop_gradient", "subtract", "sum", "take_rows", "tanh", "toposort", "transpose", "variance",
    "vectorized", "vjp", "where",
]  # fmt: skip
