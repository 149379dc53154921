"""Loop: what an op computes, as one assignment an element. It is all that a compiler needs to know of an op."""

from __future__ import annotations

import re
from dataclasses import dataclass

from backprop_cli.autodiff.spec import Array

_LIBRARY = re.compile(r"\b(exp|expm1|log|log1p|sin|cos|tanh)\(")


@dataclass(frozen=True)
class Loop:
    """For every index: ``out[index] = expression(operands[index])``.

    ``operands`` and ``out`` are arrays of one shape, that of the index; what is broadcast has strides of 0. The
    expression is Python with the functions of ``math``; ``{0}``, ``{1}``, ... stand for the operands, ``{zero}`` and
    ``{one}`` for numbers of the result's precision.

    A reduction has a ``start``: ``out`` has strides of 0 along the reduced axes, is set to ``start``, and the
    expression, which reads it as ``{out}``, is evaluated for one index after the other.
    """

    expression: str
    operands: tuple[Array, ...]
    out: Array
    start: str = ""

    @property
    def calls_library(self) -> bool:
        """Whether it calls the C library for every element, where NumPy computes several at a time."""
        return _LIBRARY.search(self.expression) is not None
