"""The structures of local Jacobians: for each op, the elements of its operands that each element of its result reads.

An op without a function here has dense local Jacobians. ``zeros`` finds entries of a factor that are
always 0, such as those of a causal softmax after the diagonal: products with them drop out of the structure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch
from weakref import ref

import numpy as np

from backprop_cli.accumulation.local_jacobian import LocalJacobian, dense, inverted
from backprop_cli.autodiff.families import Constant, Elementwise, Partial
from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.convolution import ConvolutionOp
from backprop_cli.autodiff.ops.im2col import ConvolutionSizes
from backprop_cli.autodiff.ops.linalg import Matmul
from backprop_cli.autodiff.ops.pooling import MaxPool, Windowed, WindowPut, WindowSpread, WindowSum, WindowTake
from backprop_cli.autodiff.ops.reduction import Amax, Sum
from backprop_cli.autodiff.ops.rows import SumRows, TakeRows
from backprop_cli.autodiff.ops.shape import Movement
from backprop_cli.autodiff.ops.softmax import Softmax
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value


@singledispatch
def local_jacobians(op: Op, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    """The structure of the local Jacobian by each operand; None: no derivative. The default is dense."""
    return tuple(dense(out.size, x.size) if x.spec.is_inexact else None for x in primals)


@singledispatch
def zeros(op: Op, *x: Value) -> Array | None:
    """A mask of the entries of the result that are 0 for any operands; None: there are none, or they are unknown."""
    return None


_zeros: dict[int, tuple[ref[Value], Array | None]] = {}
"""By the index of a value, for as long as it lives. Weak references as keys would compare values by ``==``."""


def zeros_of(value: Value) -> Array | None:
    """A mask of the entries of ``value`` that are always 0, in its shape; None: there are none, or they are unknown.

    Each value is examined once, operands before results. Iterative: a program may be deeper than Python's stack.
    """
    pending = [] if value.index in _zeros else [value]
    while pending:
        last = pending[-1]
        looks = last.op is not None and (last.op.is_view or zeros.dispatch(type(last.op)) is not zeros.dispatch(Op))
        unknown = [x for x in last.inputs if x.index not in _zeros] if looks else []
        if unknown:
            pending += unknown
        else:
            _remember(pending.pop(), _found_zeros(last))
    return _zeros[value.index][1]


def _remember(value: Value, mask: Array | None) -> None:
    index = value.index
    _zeros[index] = ref(value, lambda _: _zeros.pop(index)), mask


def _found_zeros(value: Value) -> Array | None:
    """The mask of a value; those of its operands are already in ``_zeros``."""
    if value.array is not None:
        found = np.asarray(value.array == 0)
        return found if found.any() else None
    if value.op is None:
        return None
    if not value.op.is_view:
        return zeros(value.op, *value.inputs)
    _, inner = _zeros[value.inputs[0].index]
    return None if inner is None else value.op.view(inner)


@local_jacobians.register(Elementwise)
def _(op: Elementwise, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    """One entry a row; 1 or -1 if the partial is that number."""
    parts = op.partials(*primals, out=out)
    return tuple(_one_each(x, part, out) for x, part in zip(primals, parts, strict=True))


def _one_each(x: Value, part: Partial, out: Value) -> LocalJacobian | None:
    if part is None or not x.spec.is_inexact:
        return None
    reads = np.broadcast_to(np.arange(x.size).reshape(x.shape), out.shape).reshape(out.size, 1)
    where = zeros_of(part) if isinstance(part, Value) else None
    if where is not None:
        reads = np.where(np.broadcast_to(where, out.shape).reshape(out.size, 1), -1, reads)
    is_unit = isinstance(part, float) and abs(part) == 1.0
    return LocalJacobian(reads, is_unit, x.size, -1 if is_unit and part == -1.0 else 1)


@local_jacobians.register(Constant)
def _(op: Constant, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    return (None,) * len(primals)


@local_jacobians.register(Movement)
def _(op: Movement, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    """At most one entry a row, found by letting the op move the indices of its elements. None of integers."""
    inexact = [x.spec.is_inexact and out.spec.is_inexact for x in primals]
    return tuple(_moved(op, k, primals, out) if inexact[k] else None for k in range(len(primals)))


def _moved(op: Movement, k: int, primals: Sequence[Value], out: Value) -> LocalJacobian:
    numbers = [np.zeros(x.shape) for x in primals]
    numbers[k] = np.arange(1.0, primals[k].size + 1).reshape(primals[k].shape)  # 0: an element filled in by the op
    moved = np.empty(out.shape)
    op.eval(*numbers, out=moved)
    return LocalJacobian(moved.reshape(out.size, 1).astype(np.int64) - 1, True, primals[k].size)


@zeros.register(Matmul)
def _(op: Matmul, *x: Value) -> Array | None:
    """Rows of x that are all 0 give rows of zeros, columns of y columns."""
    left, right = map(zeros_of, x)
    rows = False if left is None else left.all(axis=-1, keepdims=True)
    columns = False if right is None else right.all(axis=-2, keepdims=True)
    found = np.broadcast_to(np.logical_or(rows, columns), op.shape(*(v.spec for v in x)).shape)
    return found if found.any() else None


@local_jacobians.register(Matmul)
def _(op: Matmul, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    """``out[i, k]`` reads ``x[i, :]`` and ``y[:, k]``, except elements whose other factor is always 0."""
    x, y = (np.broadcast_to(_indices(v), (*out.shape[:-2], *v.shape[-2:])) for v in primals)
    by_x = np.broadcast_to(x[..., :, None, :], (*out.shape, x.shape[-1]))
    by_y = np.broadcast_to(y.swapaxes(-1, -2)[..., None, :, :], (*out.shape, y.shape[-2]))
    x_zeros, y_zeros = map(zeros_of, primals)
    if y_zeros is not None:
        by_x = np.where(y_zeros.swapaxes(-1, -2)[..., None, :, :], -1, by_x)
    if x_zeros is not None:
        by_y = np.where(x_zeros[..., :, None, :], -1, by_y)
    return tuple(
        LocalJacobian(reads.reshape(out.size, reads.shape[-1]), False, v.size)
        for reads, v in zip((by_x, by_y), primals, strict=True)
    )


def _indices(x: Value) -> Array:
    return np.arange(x.size).reshape(x.shape)


@local_jacobians.register(Sum)
@local_jacobians.register(Amax)
def _(op: Sum | Amax, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    (x,) = primals
    kept = [axis for axis in range(x.ndim) if axis not in op.axes]
    indices = _indices(x).transpose(*kept, *op.axes)
    reads = indices.reshape(math.prod(x.shape[axis] for axis in kept), math.prod(x.shape[axis] for axis in op.axes))
    return (LocalJacobian(reads, isinstance(op, Sum), x.size),)


@local_jacobians.register(TakeRows)
def _(op: TakeRows, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    """An element of the result is any one of its column; which one depends on the integers."""
    table = primals[0]
    columns = _indices(table).T
    reads = np.broadcast_to(columns, (*out.shape[:-1], *columns.shape))
    return LocalJacobian(reads.reshape(out.size, table.shape[0]), False, table.size), None


@local_jacobians.register(SumRows)
def _(op: SumRows, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    """A sum adds elements of its column; which ones depends on the integers."""
    values = primals[0]
    columns = np.arange(values.size).reshape(primals[1].size, values.shape[-1]).T
    reads = np.broadcast_to(columns, (op.count, *columns.shape))
    return LocalJacobian(reads.reshape(out.size, columns.shape[1]), False, values.size), None


@zeros.register(Softmax)
def _(op: Softmax, *x: Value) -> Array | None:
    """After the diagonal, if it is causal."""
    return np.broadcast_to(~np.tri(x[0].shape[-1], dtype=np.bool_), x[0].shape) if op.causal else None


@local_jacobians.register(Softmax)
def _(op: Softmax, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    """An element reads its row. The only entry of a row is 1 and reads nothing."""
    width = out.shape[-1]
    ends = np.arange(width) + 1 if op.causal else np.full(out.shape[-2] if out.ndim > 1 else 1, width)
    inside = np.arange(width) < np.where(ends > 1, ends, 0)[:, None]
    rows = np.arange(out.size).reshape(*out.shape[:-1], 1, width)
    reads = np.where(inside[:, None, :] & inside[:, :, None], rows, -1)
    every = np.broadcast_to(reads, (*(out.shape[:-1] or (1,)), width, width))
    return (LocalJacobian(every.reshape(out.size, width), False, out.size),)


@local_jacobians.register(WindowSum)
@local_jacobians.register(MaxPool)
def _(op: WindowSum | MaxPool, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    return (_of_windows(op, primals[0], out, isinstance(op, WindowSum)),)


@local_jacobians.register(WindowTake)
def _(op: WindowTake, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    return None, _of_windows(op, primals[1], out, False)


@local_jacobians.register(WindowSpread)
def _(op: WindowSpread, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    return (_of_elements(op, primals[0], out, True),)


@local_jacobians.register(WindowPut)
def _(op: WindowPut, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    return None, _of_elements(op, primals[1], out, False)


def _of_windows(op: Windowed, x: Value, out: Value, is_unit: bool) -> LocalJacobian:
    """A window reads its elements."""
    read, window = _pairs(op, x, out)
    return LocalJacobian(inverted(window, read, out.size), is_unit, x.size)


def _of_elements(op: Windowed, x: Value, out: Value, is_unit: bool) -> LocalJacobian:
    """An element reads its windows."""
    read, window = _pairs(op, out, x)
    return LocalJacobian(inverted(read, window, out.size), is_unit, x.size)


def _pairs(op: Windowed, x: Value, out: Value) -> tuple[Array, Array]:
    """Every pair of an element of x and a window of ``out`` that contains it, as flat indices."""
    pairs = [(read.ravel(), window.ravel()) for _, read, window in op.pieces(_indices(x), _indices(out))]
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


@local_jacobians.register(ConvolutionOp)
def _(op: ConvolutionOp, primals: Sequence[Value], out: Value) -> tuple[LocalJacobian | None, ...]:
    """Each term of the sum joins one element each of image, weight and result; two of them make the third."""
    image, weight = _terms(op.sizes(*(v.shape for v in primals)))
    result = np.broadcast_to(np.arange(len(image))[:, None], image.shape)
    indices = {"image": image, "weight": weight, "result": result}
    *reads, made = (indices[role] for role in op.roles)
    return tuple(
        LocalJacobian(inverted(made, read, out.size), False, v.size) for read, v in zip(reads, primals, strict=True)
    )


@zeros.register(ConvolutionOp)
def _(op: ConvolutionOp, *x: Value) -> Array | None:
    """Entries without a term: between the pixels of a strided or dilated transpose, or entirely in padding."""
    out = op(*x)
    local, _ = local_jacobians(op, x, out)
    if local is None or (local.reads >= 0).any(axis=1).all():
        return None
    return (local.reads < 0).all(axis=1, keepdims=True).reshape(out.shape)


def _terms(sizes: ConvolutionSizes) -> tuple[Array, Array]:
    """Flat indices into image and weight of every term of every result; -1 on padding.

    Shapes: -> (results, inner), twice
    """
    down, across = sizes.down, sizes.across
    shape = (down.size, sizes.groups, 1, sizes.channels, across.size, sizes.batch)
    pixels = np.arange(math.prod(shape)).reshape(shape).transpose(0, 1, 2, 4, 5, 3)
    windows = (down.windows, sizes.groups, sizes.filters, across.windows, sizes.batch)
    image = np.full((*windows, sizes.channels, down.kernel, across.kernel), -1)
    for i, rows, read_rows in down.pieces():
        for j, columns, read_columns in across.pieces():
            image[rows, :, :, columns, :, :, i, j] = pixels[read_rows, :, :, read_columns]
    numbers = np.arange(sizes.weights).reshape(1, sizes.groups, sizes.filters, 1, 1, *image.shape[5:])
    weight = np.where(image < 0, -1, numbers)
    return image.reshape(-1, sizes.inner), weight.reshape(-1, sizes.inner)
