"""NumPy's functions on values: which function of this package each name calls, with NumPy's argument names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from backprop_cli.autodiff import functions as ad
from backprop_cli.autodiff.families import ones_like, zeros_like
from backprop_cli.autodiff.value import Operand, Value
from backprop_cli.errors import UsageError, listing

_SAME = (
    *("absolute", "add", "cos", "divide", "equal", "exp", "expm1", "greater", "greater_equal", "less", "log", "log1p"),
    *(
        "maximum",
        "minimum",
        "multiply",
        "negative",
        "not_equal",
        "power",
        "sign",
        "sin",
        "sqrt",
        "square",
        "subtract",
        "tanh",
    ),
)

UFUNCS: Mapping[str, Callable[..., Value]] = {
    **{name: getattr(ad, name) for name in _SAME},
    "less_equal": lambda x, y: ad.greater_equal(y, x),
    "matmul": ad.product,
    "positive": lambda x: x,
    "fabs": ad.absolute,
    "reciprocal": lambda x: 1.0 / x,
    "exp2": lambda x: ad.power(2.0, x),
    "log2": lambda x: ad.log(x) * (1.0 / math.log(2.0)),
    "log10": lambda x: ad.log(x) * (1.0 / math.log(10.0)),
    "tan": lambda x: ad.sin(x) / ad.cos(x),
    "logaddexp": ad.logaddexp,
}
"""By the name of a ``np.ufunc``. Operands are values, arrays or numbers."""

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "sum": lambda a, axis=None, *, keepdims=False: ad.sum(a, axis, keepdims),
    "mean": lambda a, axis=None, *, keepdims=False: ad.mean(a, axis, keepdims),
    "var": lambda a, axis=None, *, ddof=0, keepdims=False: ad.variance(a, axis, keepdims, ddof),
    "std": lambda a, axis=None, *, ddof=0, keepdims=False: ad.sqrt(ad.variance(a, axis, keepdims, ddof)),
    "max": lambda a, axis=None, *, keepdims=False: ad.amax(a, axis, keepdims),
    "amax": lambda a, axis=None, *, keepdims=False: ad.amax(a, axis, keepdims),
    "min": lambda a, axis=None, *, keepdims=False: ad.amin(a, axis, keepdims),
    "amin": lambda a, axis=None, *, keepdims=False: ad.amin(a, axis, keepdims),
    "linalg.norm": lambda x: ad.norm(x),
    "dot": lambda a, b: ad.dot(a, b),
    "outer": lambda a, b: ad.outer(a, b),
    "where": lambda condition, x, y: ad.where(condition, x, y),
    "clip": lambda a, a_min=None, a_max=None: ad.clip(a, a_min, a_max),
    "reshape": lambda a, shape: ad.reshape(a, shape),
    "ravel": lambda a: ad.reshape(a, -1),
    "squeeze": lambda a: ad.reshape(a, [n for n in a.shape if n != 1]),
    "expand_dims": lambda a, axis: ad.expand_dims(a, axis),
    "transpose": lambda a, axes=None: ad.transpose(a, axes),
    "broadcast_to": lambda array, shape: ad.broadcast_to(array, shape),
    "concatenate": lambda arrays, axis=0: ad.concat(arrays, axis),
    "stack": lambda arrays, axis=0: ad.stack(arrays, axis),
    "zeros_like": lambda a: zeros_like(a),
    "ones_like": lambda a: ones_like(a),
    "shape": lambda a: a.shape,
    "ndim": lambda a: a.ndim,
    "size": lambda a: a.size,
}
"""By the name of another function of NumPy, with those of its arguments that values take."""


def call_ufunc(ufunc: np.ufunc, method: str, operands: Sequence[Operand], options: Mapping[str, Any]) -> Value:
    """``ufunc(*operands)`` with at least one value among the operands; NumPy calls this by ``__array_ufunc__``."""
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    if name not in UFUNCS:
        raise UsageError(_missing(name))
    if options:
        raise UsageError(f"np.{name} of a traced value takes no `{listing(options)}`: write y = np.{name}(...)")
    return UFUNCS[name](*operands)


def call_function(function: Any, given: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """``function(*given, **options)``, with a value among them; NumPy calls this by ``__array_function__``."""
    name = f"{function.__module__}.{function.__name__}".removeprefix("numpy.")
    if name not in FUNCTIONS:
        raise UsageError(_missing(name))
    signature = inspect.signature(FUNCTIONS[name])
    try:
        signature.bind(*given, **options)
    except TypeError as wrong:
        raise UsageError(f"np.{name} of a traced value takes ({listing(signature.parameters)}): {wrong}") from None
    return FUNCTIONS[name](*given, **options)


def _missing(name: str) -> str:
    known = sorted({*UFUNCS, *FUNCTIONS})
    return f"np.{name} cannot be traced; these can: {listing(known, len(known))}"
