"""Value: one node of a program. Its operators look ops up by name, so this module imports none."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.autodiff.numpy_names import NumpyNames
from backprop_cli.autodiff.spec import Array, Spec, spec_of
from backprop_cli.errors import ShapeError, UsageError

if TYPE_CHECKING:
    from backprop_cli.autodiff.op import Op

_index = itertools.count()
_layer: ContextVar[str | None] = ContextVar("layer", default=None)


class Value(NumpyNames):
    """A node of a program: an input, a constant or the result of ``op`` on ``inputs``.

    Values are dictionary keys by identity. ``index`` grows with creation, so operands always have a smaller index than
    their result: sorting by it is a topological order. ``layer`` names the part of the network that made the node.
    """

    __slots__ = ("__weakref__", "array", "index", "inputs", "layer", "name", "op", "spec")

    def __init__(
        self,
        spec: Spec,
        op: Op | None = None,
        inputs: tuple[Value, ...] = (),
        *,
        name: str | None = None,
        array: Array | None = None,
    ):
        self.spec, self.op, self.inputs, self.name, self.array = spec, op, inputs, name, array
        self.layer = _layer.get()
        self.index = next(_index)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        return self.spec.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its element type."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """Number of its axes."""
        return self.spec.ndim

    @property
    def size(self) -> int:
        """Number of its elements."""
        return self.spec.size

    @property
    def is_constant(self) -> bool:
        """Whether its array is known when the program is built."""
        return self.array is not None

    @property
    def is_input(self) -> bool:
        """Whether its array is fed when the program runs."""
        return self.op is None and self.array is None

    def on(self, inputs: Iterable[Value]) -> Value:
        """Its op on other operands of the same specs, in the same layer."""
        with in_layer(self.layer):
            return Value(self.spec, self.op, tuple(inputs))

    def __repr__(self) -> str:
        what = self.name or (str(self.op) if self.op else "constant" if self.is_constant else "input")
        return f"<{what} {self.spec}>"

    def __add__(self, other: Operand) -> Value:
        return _call("add", self, other)

    def __radd__(self, other: Operand) -> Value:
        return _call("add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return _call("subtract", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return _call("subtract", other, self)

    def __mul__(self, other: Operand) -> Value:
        return _call("multiply", self, other)

    def __rmul__(self, other: Operand) -> Value:
        return _call("multiply", other, self)

    def __truediv__(self, other: Operand) -> Value:
        return _call("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return _call("divide", other, self)

    def __neg__(self) -> Value:
        return _call("negative", self)

    @property
    def T(self) -> Value:  # noqa: N802 - NumPy's name
        """All axes reversed; a view."""
        return _op("transpose", perm=tuple(reversed(range(self.ndim))))(self)


Operand = Value | Array | float


def _op(name: str, **fields: Any) -> Op:
    from backprop_cli.autodiff.op import OPS  # the registry imports this module

    op: Op = OPS[name](**fields)
    return op


def _call(name: str, *operands: Operand) -> Value:
    return _op(name)(*operands)


@contextmanager
def in_layer(layer: str | None) -> Iterator[None]:
    """Values made inside belong to ``layer`` (shown by printouts and gradient checks)."""
    token = _layer.set(layer)
    try:
        yield
    finally:
        _layer.reset(token)


def input_(name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> Value:
    """A value whose array is fed when the program runs."""
    return Value(Spec(tuple(shape), np.dtype(dtype)), name=name)


def constant(array: Any, dtype: DTypeLike | None = None) -> Value:
    """A value with a known array of numbers (UsageError: of None or text), which must not change afterwards."""
    known = np.asarray(array)
    if known.dtype.kind not in "biufc":
        raise UsageError(f"{known.tolist()!r:.60} is no number and no array of numbers")
    array = np.asarray(array, dtype)
    return Value(spec_of(array), array=array)


def as_value(operand: Operand, dtype: np.dtype[Any]) -> Value:
    """The operand itself, or a constant. Numbers take ``dtype``, so float32 stays float32; next to bool, float64.

    Raises:
        ShapeError: the integer type ``dtype`` cannot hold the number.

    """
    if isinstance(operand, Value):
        return operand
    if isinstance(operand, np.ndarray) and operand.ndim > 0:
        return constant(operand)
    if dtype.kind == "b" and not isinstance(operand, bool | np.bool_):
        dtype = np.dtype(np.float64)  # 1 would become True, and True + True is True
    with np.errstate(over="ignore"):  # a number too large for ``dtype`` is infinite, which the run reports later
        scalar = constant(np.asarray(operand), dtype)
    if dtype.kind in "iu" and np.any(scalar.array != operand):
        raise ShapeError(f"constant {operand}", f"is not {dtype.name}; convert the other operand with cast")
    return scalar


def toposort(outputs: Iterable[Value], known: Container[Value] = ()) -> list[Value]:
    """Every value the outputs depend on, operands first, in order of creation. Iterative, so depth is no limit.

    Values of ``known`` are left out, and so are values that only they depend on.
    """
    if isinstance(outputs, Value):
        raise UsageError("expected a list of values, not a single value: write [x]")
    seen: set[Value] = set()
    stack = list(outputs)
    while stack:
        value = stack.pop()
        if value not in seen and value not in known:
            seen.add(value)
            stack.extend(value.inputs)
    return sorted(seen, key=lambda value: value.index)
