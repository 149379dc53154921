"""Op: a primitive array function with its derivative rules.

A program applies ops to values. An op states the ``shape`` of its result, and how to compute it from arrays: ``eval``,
or ``view`` where nothing has to be computed. It states its derivative as a forward rule ``jvp`` and as a reverse rule
``vjp``. Its tests and checks are generated from its ``samples``.

Ways to run ops fast, to rewrite them, to count their cost and to analyse them are functions outside of this package,
dispatched on the op's type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Operand, Value, as_value
from backprop_cli.errors import ShapeError
from backprop_cli.registry import Registry, snake_case
from backprop_cli.structs import Struct


class Op(Struct):
    """A function ``out = f(x, y, ...)`` of arrays.

    Static attributes, such as the axes of a sum, are annotated fields; call arguments are arrays. Two ops with the same
    fields are equal. Write ``J`` for the Jacobian of ``out`` by all operands. The two derivative rules are built of ops
    themselves, so that they can be differentiated again:

    - ``jvp`` pushes tangents forward: ``out_dot = J (x_dot, y_dot, ...)``, in the shape of ``out``;
    - ``vjp`` pulls a cotangent back: ``(x_bar, y_bar, ...) = J^T ct``, in the shapes of the operands, the ``primals``.
    """

    samples: ClassVar[tuple[Sample, ...]] = ()
    is_view: ClassVar[bool] = False
    """The result can be a view of the first operand: ``view`` is tried before ``eval``."""
    is_smooth: ClassVar[bool] = True
    """False if the derivative jumps (relu, abs, max). This flag and the next two are for checks of derivatives."""
    is_step: ClassVar[bool] = False
    """Piecewise constant: comparisons and sign. In the program of a gradient they choose the branch of a kink."""
    blocks_gradient: ClassVar[bool] = False
    """The derivative is 0 by definition, whatever differences say: they cannot check it."""

    def shape(self, *x: Spec) -> Spec:
        """The spec of the result; raises ShapeError for operands that do not fit."""
        raise NotImplementedError

    def eval(self, *x: Any, **result: Any) -> None:
        """``eval(x, y, out=out)``: write the result over all of ``out``, which is contiguous."""
        raise NotImplementedError

    def view(self, x: Array) -> Array | None:
        """The result as a view of ``x``, or None if strides do not allow it. Only for ``is_view`` ops."""
        return None

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """Forward rule ``J t``; a tangent of None is zero, and so is a result of None."""
        raise NotImplementedError

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """Reverse rule ``J^T ct``, one entry for each operand; None is zero."""
        raise NotImplementedError

    def __call__(self, *operands: Operand) -> Value:
        """A new node of a program. Numbers among the operands take the dtype of the other operands."""
        inputs = [v for v in operands if isinstance(v, Value)]
        if len(inputs) < len(operands):
            dtypes = [v.dtype for v in inputs if v.spec.is_inexact] or [v.dtype for v in inputs]
            dtype = dtypes[0] if dtypes else np.dtype(np.float64)
            inputs = [as_value(operand, dtype) for operand in operands]
        return Value(self.shape(*[v.spec for v in inputs]), self, tuple(inputs))

    @property
    def kind(self) -> str:
        """Its name in the registry: ``matmul``."""
        return snake_case(type(self).__name__)

    def printed(self, *operands: str) -> str:
        """As a call: ``sum(%3, axes=(0,), keepdims=False)``."""
        given = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self)]
        return f"{self.kind}({', '.join([*operands, *given])})"

    def __str__(self) -> str:
        return self.printed().removesuffix("()")


class Sample(NamedTuple):
    """One way to call an op, from which its tests and checks are generated.

    ``shapes``: one for each operand. Entries are drawn from ``domain``, which keeps them away from kinks and poles;
    operands at the positions ``labels`` are integers in [0, classes).
    """

    shapes: tuple[tuple[int, ...], ...]
    fields: Mapping[str, Any] = MappingProxyType({})
    domain: tuple[float, float] = (-2.0, 2.0)
    labels: tuple[int, ...] = ()
    classes: int = 3


def sample(*shapes: tuple[int, ...], domain: tuple[float, float] = (-2.0, 2.0), **op_fields: Any) -> Sample:
    """``sample((3, 4), axes=(0,))``: operand shapes, then the op's own fields."""
    return Sample(shapes, op_fields, domain)


OPS: Registry[Any] = Registry("op", "ops", "backprop_cli.autodiff.ops", Op)
"""Every primitive by name; ``OPS["matmul"]()`` makes one. A registry is a dictionary that imports its entries."""

register = OPS.register


def common_dtype(op: Op, *x: Spec) -> np.dtype[Any]:
    """The one dtype of the floats among the operands, or of all if none is; mixing two is an error, not a promotion."""
    dtypes = {s.dtype for s in x if s.is_inexact} or {s.dtype for s in x}
    if len(dtypes) != 1:
        given = {f"operand {i}": s for i, s in enumerate(x)}
        raise ShapeError(op, "operands of different precision; convert one with cast", **given)
    return dtypes.pop()
