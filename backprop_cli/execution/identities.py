"""The identities of ops: what is ``x * 1``, the transpose of a product, the sum of two products?

Rewriting (see ``passes``) asks three questions of a node. Each is a function dispatched on the type of its op; the
default answer is None. ``cheaper``: an equal value that costs less. ``transposed``: the result with its last two axes
swapped. ``summand`` and ``summed``: several results of one op, added up by one op.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import singledispatch

import numpy as np

from backprop_cli.autodiff.families import Elementwise, broadcast, inverse, reshaped
from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.arithmetic import Add, Divide, Multiply, Negative, Power, Square, Subtract
from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.ops.copies import Cast, Copy
from backprop_cli.autodiff.ops.linalg import Matmul, flipped
from backprop_cli.autodiff.ops.pieces import Concat, Pad, Slice
from backprop_cli.autodiff.ops.reduction import Sum, reduced
from backprop_cli.autodiff.ops.shape import BroadcastTo, Reshape, Transpose
from backprop_cli.autodiff.value import Value, constant


@singledispatch
def cheaper(op: Op, *x: Value) -> Value | None:
    """A value equal to ``op(*x)`` that costs less, or None."""
    return None


@singledispatch
def transposed(op: Op, *x: Value) -> Value | None:
    """``op(*x)`` with its last two axes swapped, if the op can make it so at no more cost; or None."""
    return None


@singledispatch
def summand(op: Op, *x: Value) -> Hashable | None:
    """A key: ``summed`` adds up results of the op that have it in common. None if it adds up none."""
    return None


@singledispatch
def summed(op: Op, *terms: Value) -> Value | None:
    """The sum of two or more results of the op, of one ``summand`` and one shape, made by one op; or None.

    The gradient of an array that a loop reads at every step is such a sum.
    """
    return None


# Elementwise ops


@cheaper.register(Elementwise)
def _elementwise(op: Elementwise, *x: Value) -> Value | None:
    """Compute on the operands of broadcasts, and broadcast the result; on those of transposes, and transpose it."""
    bare = tuple(v.inputs[0] if isinstance(v.op, BroadcastTo) else v for v in x)
    shape = np.broadcast_shapes(*(v.shape for v in x))
    if any(v is not w for v, w in zip(bare, x, strict=True)):
        return broadcast(op(*bare), shape)
    order = _order_in_memory([v for v in x if v.shape == shape])
    if order is None:
        return None
    there, back = Transpose(order), Transpose(inverse(order))
    return there(op(*(v if v.ndim == 0 else back(_with_axes(v, len(shape))) for v in x)))


def _order_in_memory(x: Sequence[Value]) -> tuple[int, ...] | None:
    """The order in which all transposed operands lie in memory; None: the order of their axes.

    If other operands are not transposed, either they or the transposed ones are read across memory. Operands with the
    batch last are images and keep it there: the next op wants it so. (An order with the batch first would undo it.)
    """
    orders = {v.op.perm if isinstance(v.op, Transpose) else None for v in x}
    if None in orders and all(perm is None or perm[0] == len(perm) - 1 > perm[-1] > 0 for perm in orders):
        orders.remove(None)
    return orders.pop() if len(orders) == 1 else None


def _with_axes(x: Value, ndim: int) -> Value:
    """``x`` with leading axes of size 1, so that it has ``ndim``."""
    return reshaped(x, (*(1,) * (ndim - x.ndim), *x.shape))


def _is_number(x: Value, number: float) -> bool:
    return x.array is not None and x.size == 1 and bool(x.array.item() == number)


def _neutral(x: Value, y: Value, number: float) -> Value | None:
    """``x`` in the shape of the result if ``y`` is the operation's neutral number."""
    if not _is_number(y, number) or x.dtype != y.dtype:
        return None
    return broadcast(x, np.broadcast_shapes(x.shape, y.shape))


@cheaper.register(Add)
def _(op: Add, *x: Value) -> Value | None:
    """``x + 0 = x``; ``x + (-y) = x - y``; ``x + y * (-c) = x - y * c`` for a constant c > 0."""
    a, b = x
    for left, right in ((a, b), (b, a)):
        if (same := _neutral(left, right, 0.0)) is not None:
            return same
    for left, right in ((a, b), (b, a)):
        if (difference := _difference(left, right)) is not None:
            return difference
    return _elementwise(op, *x)


def _difference(x: Value, y: Value) -> Value | None:
    if isinstance(y.op, Negative):
        return x - y.inputs[0]
    factor = _constant_factor(y)
    if factor is None or factor.array is None or not factor.array.item() < 0:
        return None
    return x - y * -1.0


@cheaper.register(Subtract)
def _(op: Subtract, *x: Value) -> Value | None:
    """``x * c - y * c = (x - y) * c`` for a constant c."""
    a, b = (_constant_factor(value) for value in x)
    if a is not None and a is b:
        return (_other(x[0], a) - _other(x[1], a)) * a
    return _elementwise(op, *x)


def _constant_factor(x: Value) -> Value | None:
    """The constant number ``c`` of ``x = y * c``."""
    if not isinstance(x.op, Multiply):
        return None
    return next((factor for factor in x.inputs if factor.is_constant and factor.ndim == 0), None)


def _other(product: Value, factor: Value) -> Value:
    return product.inputs[0] if product.inputs[1] is factor else product.inputs[1]


@cheaper.register(Multiply)
def _(op: Multiply, *x: Value) -> Value | None:
    """``x * 1 = x``; the numbers of a product are gathered; a reciprocal becomes a division."""
    a, b = x
    for left, right in ((a, b), (b, a)):
        if (same := _neutral(left, right, 1.0)) is not None:
            return same
    for left, right in ((a, b), (b, a)):
        if (gathered := _gathered(left, right)) is not None:
            return gathered
    return _elementwise(op, *x)


def _gathered(x: Value, y: Value) -> Value | None:
    """``(x * a) * b = x * (a b)`` for a number a and fewer numbers b than x has.

    ``x * (c / y) = (x / y) * c`` for a constant number c.
    """
    if isinstance(x.op, Multiply) and x.ndim > 0 and (y.ndim == 0 or y.size < x.size):
        for inner, factor in (x.inputs, x.inputs[::-1]):
            if factor.ndim == 0:
                return inner * (factor * y)
    bare = y.inputs[0] if isinstance(y.op, Reshape) else y
    if isinstance(bare.op, Divide) and bare.inputs[0].is_constant and bare.inputs[0].ndim == 0:
        number, divisor = bare.inputs
        if divisor.spec == bare.spec:
            if x.is_constant and x.ndim == 0:  # two numbers: x / y * c would come back here as c * (x / y)
                return (x * number) / reshaped(divisor, y.shape)
            quotient = x / reshaped(divisor, y.shape)
            return quotient if _is_number(number, 1.0) else quotient * number
    return None


@cheaper.register(Negative)
def _(op: Negative, *x: Value) -> Value | None:
    """``-(-x) = x``; ``-(x * a) = x * (-a)`` for a constant a."""
    inner = x[0].op
    if isinstance(inner, Negative):
        return x[0].inputs[0]
    if isinstance(inner, Multiply) and _constant_factor(x[0]) is not None:
        return x[0] * -1.0
    return _elementwise(op, *x)


@cheaper.register(Power)
def _(op: Power, *x: Value) -> Value | None:
    """``x^1 = x``; ``x^2 = square(x)``."""
    if op.exponent == 1.0:
        return x[0]
    return Square()(x[0]) if op.exponent == 2.0 else None


@cheaper.register(Cast)
def _(op: Cast, *x: Value) -> Value | None:
    return x[0] if x[0].dtype == np.dtype(op.dtype) else None


# Axes and their order


@cheaper.register(Reshape)
def _(op: Reshape, *x: Value) -> Value | None:
    """Two reshapes are one; a reshaped repetition of a number is its repetition.

    If the last axis was moved to the front and stays there, the others are reshaped and it is moved afterwards: a copy
    of long runs, and a matrix that BLAS takes transposed.
    """
    if x[0].shape == op.to:
        return x[0]
    inner = x[0].op
    if isinstance(inner, Reshape):
        return Reshape(op.to)(x[0].inputs[0])
    if isinstance(inner, BroadcastTo) and x[0].inputs[0].ndim == 0:
        return BroadcastTo(op.to)(x[0].inputs[0])
    if isinstance(inner, Transpose) and inner.perm[0] == len(inner.perm) - 1 > 0 and op.to[:1] == x[0].shape[:1]:
        rest = Transpose((*inner.perm[1:], inner.perm[0]))(x[0].inputs[0])
        axes = len(op.to) - 1
        return Transpose((axes, *range(axes)))(Reshape((*op.to[1:], op.to[0]))(rest))
    return None


@cheaper.register(BroadcastTo)
def _(op: BroadcastTo, *x: Value) -> Value | None:
    """Two broadcasts are one."""
    if x[0].shape == op.to:
        return x[0]
    return BroadcastTo(op.to)(x[0].inputs[0]) if isinstance(x[0].op, BroadcastTo) else None


@cheaper.register(Transpose)
def _(op: Transpose, *x: Value) -> Value | None:
    """Two transposes are one; a transposed product is another product."""
    if op.perm == tuple(range(len(op.perm))):
        return x[0]
    inner = x[0].op
    if isinstance(inner, Transpose):
        return Transpose(tuple(inner.perm[axis] for axis in op.perm))(x[0].inputs[0])
    if inner is not None and op.perm == (*range(x[0].ndim - 2), x[0].ndim - 1, x[0].ndim - 2):
        return transposed(inner, *x[0].inputs)
    return _of_split_columns(op, x[0]) if isinstance(inner, Reshape) and op.perm[-1] == 0 else None


def _of_split_columns(op: Transpose, x: Value) -> Value | None:
    """The rows of a product go last, after a reshape split its columns: the product is transposed before the split."""
    (matrix,) = x.inputs
    if matrix.ndim != 2 or matrix.shape[0] != x.shape[0] or matrix.op is None:
        return None
    if transposed(matrix.op, *matrix.inputs) is None:
        return None
    split = Reshape((*x.shape[1:], x.shape[0]))(Transpose((1, 0))(matrix))
    return Transpose((*(axis - 1 for axis in op.perm[:-1]), x.ndim - 1))(split)


@cheaper.register(Slice)
def _(op: Slice, *x: Value) -> Value | None:
    """A slice of a whole axis is x; a slice of a transpose is the transpose of a slice."""
    if (op.start, op.stop) == (0, x[0].shape[op.axis]):
        return x[0]
    inner = x[0].op
    if not isinstance(inner, Transpose):
        return None
    return inner(Slice(inner.perm[op.axis], op.start, op.stop)(x[0].inputs[0]))


@cheaper.register(Pad)
def _(op: Pad, *x: Value) -> Value | None:
    """Zeros around a transpose are the transpose of zeros around."""
    if not op.before and not op.after:
        return x[0]
    inner = x[0].op
    if not isinstance(inner, Transpose):
        return None
    return inner(Pad(inner.perm[op.axis], op.before, op.after)(x[0].inputs[0]))


@summand.register(Pad)
def _(op: Pad, *x: Value) -> Hashable:
    return op.axis


@summed.register(Pad)
def _(op: Pad, *terms: Value) -> Value | None:
    """A concatenation with zeros in the gaps, if no two terms overlap."""
    pieces: list[Value] = []
    end = 0
    for start, piece, stop in sorted((_place(term) for term in terms), key=lambda place: place[0]):
        if start < end:
            return None
        pieces += [_zeros(piece, op.axis, start - end), piece]
        end = stop
    pieces.append(_zeros(pieces[-1], op.axis, terms[0].shape[op.axis] - end))
    return Concat(op.axis)(*(piece for piece in pieces if piece.shape[op.axis]))


def _place(term: Value) -> tuple[int, Value, int]:
    """The start of a padded piece, the piece, and its end."""
    assert isinstance(term.op, Pad)
    (piece,) = term.inputs
    return term.op.before, piece, term.op.before + piece.shape[term.op.axis]


def _zeros(x: Value, axis: int, size: int) -> Value:
    """Zeros like x, ``size`` along an axis."""
    return broadcast(constant(0, x.dtype), (*x.shape[:axis], size, *x.shape[axis + 1 :]))


@cheaper.register(Concat)
def _(op: Concat, *x: Value) -> Value | None:
    """Transposes of one order are joined before they are transposed."""
    if len(x) == 1:
        return x[0]
    inner = x[0].op
    if not isinstance(inner, Transpose) or any(v.op != inner for v in x):
        return None
    return inner(Concat(inner.perm[op.axis])(*(v.inputs[0] for v in x)))


# Products and sums


@transposed.register(Matmul)
def _(op: Matmul, *x: Value) -> Value:
    """``(x y)^T = y^T x^T``: BLAS writes the transposed result without a copy."""
    return op(flipped(x[1]), flipped(x[0]))


@summand.register(Matmul)
def _(op: Matmul, *x: Value) -> Hashable | None:
    """Products ``x^T y`` of matrices are sums over rows."""
    return "rows" if x[0].ndim == x[1].ndim == 2 and isinstance(x[0].op, Transpose) else None


@summed.register(Matmul)
def _(op: Matmul, *terms: Value) -> Value:
    """``x_1^T y_1 + x_2^T y_2 + ... = [x_1; x_2; ...]^T [y_1; y_2; ...]``."""
    x = Concat(0)(*(term.inputs[0].inputs[0] for term in terms))
    y = Concat(0)(*(term.inputs[1] for term in terms))
    return op(flipped(x), y)


@cheaper.register(ConvolutionOp)
def _(op: ConvolutionOp, *x: Value) -> Value | None:
    """Operands that are not contiguous are copied, once for all who read them."""
    in_line = tuple(Copy()(v) if _is_scattered(v) else v for v in x)
    return None if all(v is w for v, w in zip(in_line, x, strict=True)) else op(*in_line)


def _is_scattered(x: Value) -> bool:
    return isinstance(x.op, Transpose | BroadcastTo) or (isinstance(x.op, Slice) and x.op.axis > 0)


@cheaper.register(Sum)
def _(op: Sum, *x: Value) -> Value | None:
    """A sum over axes of size 1 is a reshape; the sum of a sum is one sum.

    The sum of all products is one product of a row and a column, by BLAS. The sum of a difference is split if one of
    its terms is a sum, which is then merged.
    """
    inner, to = x[0].op, reduced(op, x[0].spec).shape
    if all(x[0].shape[axis] == 1 for axis in op.axes):
        return Reshape(to)(x[0])
    if op.keepdims:
        return Reshape(to)(Sum(op.axes)(x[0]))
    if isinstance(inner, Sum) and not inner.keepdims:
        left = [axis for axis in range(x[0].inputs[0].ndim) if axis not in inner.axes]
        return Sum((*inner.axes, *(left[axis] for axis in op.axes)))(x[0].inputs[0])
    if isinstance(inner, Transpose):
        return _sum_of_transposed(op, inner.perm, x[0].inputs[0])
    return _sum_of_pairs(op, x[0]) if to == () else None


def _sum_of_transposed(op: Sum, perm: tuple[int, ...], x: Value) -> Value:
    """The sum over the same axes of x; the axes left are transposed."""
    kept = [axis for k, axis in enumerate(perm) if k not in op.axes]
    total = Sum(tuple(sorted(perm[axis] for axis in op.axes)))(x)
    return Transpose(tuple(sorted(kept).index(axis) for axis in kept))(total)


def _sum_of_pairs(op: Sum, x: Value) -> Value | None:
    if any(operand.shape != x.shape for operand in x.inputs):
        return None
    if isinstance(x.op, Multiply) and x.spec.is_inexact:
        row, column = reshaped(x.inputs[0], (1, x.size)), reshaped(x.inputs[1], (x.size, 1))
        return reshaped(row @ column, ())
    if isinstance(x.op, Subtract) and any(isinstance(operand.op, Sum) for operand in x.inputs):
        return op(x.inputs[0]) - op(x.inputs[1])
    return None


@summand.register(Sum)
def _(op: Sum, *x: Value) -> Hashable | None:
    """Sums over rows: the sum over the rows of all is one longer sum."""
    return (op, x[0].shape[1:]) if 0 in op.axes else None


@summed.register(Sum)
def _(op: Sum, *terms: Value) -> Value:
    """The sum of the concatenation."""
    return op(Concat(0)(*(term.inputs[0] for term in terms)))
