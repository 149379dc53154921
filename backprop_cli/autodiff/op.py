"""Op: the contract of a primitive. Everything that reads a program uses only what stands here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local, dense
from backprop_cli.autodiff.spec import Array, Spec, spec_of
from backprop_cli.autodiff.value import Operand, Value, as_value, constant
from backprop_cli.errors import ShapeError
from backprop_cli.execution.element_expression import Loop
from backprop_cli.registry import Registry, snake_case


@dataclass(frozen=True)
class Sample:
    """One way to call an op, from which its tests and checks are generated.

    ``shapes``: one an operand. Entries are drawn from ``domain`` (kept away from kinks and poles by it);
    operands at the positions ``labels`` are integers in [0, classes).
    """

    shapes: tuple[tuple[int, ...], ...]
    fields: dict[str, Any] = field(default_factory=dict)
    domain: tuple[float, float] = (-2.0, 2.0)
    labels: tuple[int, ...] = ()
    classes: int = 3


def sample(*shapes: tuple[int, ...], domain: tuple[float, float] = (-2.0, 2.0), **op_fields: Any) -> Sample:
    """``sample((3, 4), axes=(0,))``: operand shapes, then the op's own fields."""
    return Sample(shapes, op_fields, domain)


@dataclass(frozen=True)
class Op:
    """A primitive array function.

    Fields of the dataclass are static attributes, call arguments are arrays. Derivative rules are written in ops.
    An op without fields is a dataclass by inheritance: to make it one again takes a quarter of a millisecond an op.
    """

    samples: ClassVar[tuple[Sample, ...]] = ()
    is_view: ClassVar[bool] = False
    """Its result can be a view of the first operand: ``view`` is tried before ``eval``."""
    in_place: ClassVar[bool] = False
    """``out`` may be the memory of any operand of the same spec."""
    is_smooth: ClassVar[bool] = True
    """False where the derivative jumps (relu, abs, max): checks look for kinks there."""
    is_step: ClassVar[bool] = False
    """Piecewise constant: comparisons and sign. In a gradient's program they say which branch of a kink was taken."""
    blocks_gradient: ClassVar[bool] = False
    """Its derivative is 0 by definition, whatever differences say: they are no check of it."""

    def shape(self, *x: Spec) -> Spec:
        """The spec of the result; raises ShapeError for operands that do not fit."""
        raise NotImplementedError

    def eval(self, *x: Any, **memory: Any) -> None:
        """``eval(x, y, out=out)``: write the result over all of ``out``; operands are not changed."""
        raise NotImplementedError

    def view(self, x: Array) -> Array | None:
        """The result as a view of ``x``, or None where strides do not allow it. Only for ``is_view`` ops."""
        return None

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """Arrays ``eval`` wants besides ``out``; they are passed as keyword ``scratch``."""
        return ()

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], object]:
        """``eval`` with its arrays, to be called once a step."""
        if scratch:
            return partial(self.eval, *x, out=out, scratch=scratch)
        return partial(self.eval, *x, out=out)

    def eval_complex(self, *x: Array, out: Array) -> None:
        """The analytic continuation of ``eval``: some operands, and ``out``, are complex128.

        For the complex step, ``f(x + ih)`` with a tiny h. Most of NumPy's functions continue themselves; an op that
        has a branch, a kink or a modulus says here how: it branches on real parts, and at a kink it continues along
        the derivative that the op documents. Ops that are steps are never asked.
        """
        if type(self).scratch is Op.scratch:
            self.bind(*x, out=out)()
            return
        scratch = tuple(np.empty(s.shape, s.dtype) for s in self.scratch(*map(spec_of, x)))
        self.bind(*x, out=out, scratch=scratch)()

    def loop(self, *x: Array, out: Array) -> Loop | None:
        """``eval`` as one assignment an element, for a compiler; None leaves the op to NumPy."""
        return None

    def jvp(self, primals: Sequence[Value], tangents: Sequence[Value | None], out: Value) -> Value | None:
        """Forward rule ``J t``; a tangent of None is zero, and so is a result of None."""
        raise NotImplementedError

    def vjp(self, primals: Sequence[Value], out: Value, cotangent: Value) -> tuple[Value | None, ...]:
        """Reverse rule ``J^T ct``, one entry an operand; None is zero."""
        raise NotImplementedError

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """The structure of the local Jacobian by each operand; None: no derivative. By default it is dense."""
        return tuple(dense(out.size, x.size) if x.spec.is_inexact else None for x in primals)

    def zeros(self, *x: Value) -> Array | None:
        """Mask of entries of the result that are 0 for any operands; None if there are none."""
        return None

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """The op on ``size`` arrays at once: those operands that are ``mapped`` have a new first axis, and so has the
        result. Entry by entry along it, the result is that of the op; at least one operand is mapped. By default one
        after the other, joined.
        """
        specs = [v.spec.with_shape(v.shape[1:]) if m else v.spec for v, m in zip(x, mapped, strict=True)]
        shape = self.shape(*specs).shape
        results = [
            self(*(_entry(v, k) if is_mapped else v for v, is_mapped in zip(x, mapped, strict=True)))
            for k in range(size)
        ]
        if not results:
            return OPS["broadcast_to"]((0, *shape))(constant(0, self.shape(*specs).dtype))  # type: ignore[no-any-return]
        return OPS["concat"](0)(*(OPS["reshape"]((1, *shape))(result) for result in results))  # type: ignore[no-any-return]

    def flops(self, *x: Spec) -> int:
        """Floating-point operations of one evaluation."""
        return self.shape(*x).size

    def multiplications(self, *x: Spec) -> int:
        """Multiplications of one evaluation that grow with a product of sizes (matrix products); else 0."""
        return 0

    def products(self, *x: Spec) -> int:
        """Separate matrix products that the multiplications are spread over, each of which BLAS does by itself."""
        return 1

    def simplify(self, *x: Value) -> Value | None:
        """An equal but cheaper value, or None."""
        return None

    def transposed(self, *x: Value) -> Value | None:
        """The result with its last two axes swapped, where the op can make it so at no more cost; or None."""
        return None

    def summand(self, *x: Value) -> Hashable | None:
        """What it has in common with the results of this op whose sum ``summed`` makes; None: there are none."""
        return None

    def summed(self, *terms: Value) -> Value | None:
        """The sum of two or more results of this op, of one ``summand`` and one shape, made by one op; or None.

        The gradient of an array that a loop uses at every step is such a sum.
        """
        return None

    def __call__(self, *operands: Operand) -> Value:
        """A new node of a program."""
        floats = [v.dtype for v in operands if isinstance(v, Value) and v.spec.is_inexact]
        others = [v.dtype for v in operands if isinstance(v, Value)]
        dtype = (floats or others or [np.dtype(np.float64)])[0]
        inputs = tuple(as_value(operand, dtype) for operand in operands)
        return Value(self.shape(*(v.spec for v in inputs)), self, inputs)

    @property
    def kind(self) -> str:
        """Its name in the registry: ``matmul``."""
        return snake_case(type(self).__name__)

    def printed(self, *operands: str) -> str:
        """As a call: ``sum(%3, axes=(0,), keepdims=False)``."""
        given = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self)]
        return f"{self.kind}({', '.join([*operands, *given])})"

    def written(self, *operands: str) -> str:
        """As in a formula: ``x @ W.T + b``; the call where mathematics has no sign for it."""
        return self.printed(*operands)

    def __str__(self) -> str:
        return self.printed().removesuffix("()")


def _entry(x: Value, k: int) -> Value:
    """``x[k]``."""
    return OPS["reshape"](x.shape[1:])(OPS["slice"](0, k, k + 1)(x))  # type: ignore[no-any-return]


_zeros: WeakKeyDictionary[Value, Array | None] = WeakKeyDictionary()


def zeros_of(value: Value) -> Array | None:
    """Where a value is always 0, in booleans of its shape; None: nowhere, or not known.

    Each value is looked at once, and operands before results: a program may be deeper than Python's stack.
    """
    pending = [] if value in _zeros else [value]
    while pending:
        last = pending[-1]
        looks = last.op is not None and (last.op.is_view or type(last.op).zeros is not Op.zeros)
        unknown = [x for x in last.inputs if x not in _zeros] if looks else []
        if unknown:
            pending += unknown
        else:
            _zeros[pending.pop()] = _found_zeros(last)
    return _zeros[value]


def _found_zeros(value: Value) -> Array | None:
    """Those of a value whose operands are known already."""
    if value.array is not None:
        found = np.asarray(value.array == 0)
        return found if found.any() else None
    if value.op is None:
        return None
    if not value.op.is_view:
        return value.op.zeros(*value.inputs)
    inner = _zeros[value.inputs[0]]
    return None if inner is None else value.op.view(inner)


def in_brackets(operand: str) -> str:
    """An operand of a sign: in brackets if it is made with one itself."""
    return f"({operand})" if " " in operand and not operand.endswith(")") else operand


OPS: Registry[Any] = Registry("op", "ops", "backprop_cli.autodiff.ops", Op)
"""Every primitive by name; ``OPS["matmul"]()`` makes one."""

register = OPS.register


def common_dtype(op: Op, *x: Spec) -> np.dtype[Any]:
    """The one floating-point dtype of the operands; mixing two is an error, not a promotion."""
    dtypes = {s.dtype for s in x if s.is_inexact} or {s.dtype for s in x}
    if len(dtypes) != 1:
        given = {f"operand {i}": s for i, s in enumerate(x)}
        raise ShapeError(op, "operands of different precision; convert one with cast", **given)
    return dtypes.pop()
