"""Derivatives of array programs; knows nothing of networks.

Differentiate a function of arrays::

    >>> import numpy as np
    >>> from backprop_cli import autodiff as ad
    >>> point = np.array([0.0, 0.5, 1.0])
    >>> print(ad.grad(lambda x: np.sum(np.tanh(x) ** 2))(point).round(4))
    [0.     0.7269 0.6397]

Or build the program of the function, extend it by its gradient, and run both::

    >>> x = ad.input_("x", (3,))
    >>> loss = ad.sum(ad.square(ad.tanh(x)))
    >>> (gradient,) = ad.gradients(loss, [x])
    >>> value, slope = ad.evaluate([loss, gradient], {x: point})
    >>> print(value.round(4), slope.round(4))
    0.7936 [0.     0.7269 0.6397]

The gradient is itself a program, so it can be differentiated again (``ad.hessian_products``, ``ad.jvp``).

To understand the engine read, in this order: ``spec`` (shape and dtype), ``value`` (a node), ``op`` (the contract of a
primitive), ``families`` (one derivative rule for both modes), ``program``, ``transforms`` (the walks), ``evaluate``.
The primitives are in ``ops/``. On top are ``functions`` and ``spatial`` (functions made of ops), ``numpy_names``,
``numpy_functions`` and ``indexing`` (values behave as arrays), and ``tracing`` (``grad(f)``). ``docs/autodiff.md``
walks through all of it.
"""

from backprop_cli.autodiff.evaluate import evaluate
from backprop_cli.autodiff.functions import (
    absolute,
    add,
    amax,
    amin,
    broadcast_to,
    cast,
    clip,
    concat,
    copy,
    cos,
    divide,
    dot,
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
    product,
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
    stack,
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
from backprop_cli.autodiff.tracing import grad, hvp, jacobian, value_and_grad
from backprop_cli.autodiff.transforms import gradients, hessian_products, jvp, vjp
from backprop_cli.autodiff.value import Operand, Value, constant, in_layer, input_, toposort

__all__ = [
    "OPS",
    "Array",
    "Op",
    "Operand",
    "Program",
    "Sample",
    "Spec",
    "Value",
    "absolute",
    "add",
    "amax",
    "amin",
    "average_pool",
    "broadcast_to",
    "cast",
    "clip",
    "concat",
    "constant",
    "convolution",
    "convolution_transpose",
    "copy",
    "cos",
    "divide",
    "dot",
    "equal",
    "erf",
    "evaluate",
    "exp",
    "expm1",
    "fused_softmax",
    "global_average_pool",
    "global_max_pool",
    "grad",
    "gradients",
    "greater",
    "greater_equal",
    "hessian_products",
    "hvp",
    "in_layer",
    "input_",
    "interpolate",
    "jacobian",
    "jvp",
    "less",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max_pool",
    "maximum",
    "mean",
    "minimum",
    "multiply",
    "negative",
    "norm",
    "one_hot",
    "power",
    "product",
    "relu",
    "repeat",
    "reshape",
    "sigmoid",
    "sign",
    "sin",
    "slice_",
    "softmax",
    "softplus",
    "spec_of",
    "sqrt",
    "square",
    "stack",
    "stop_gradient",
    "subtract",
    "sum",
    "take_rows",
    "tanh",
    "toposort",
    "transpose",
    "value_and_grad",
    "variance",
    "vjp",
    "where",
]  # fmt: skip
