"""Functions of images and sequences, (batch, channels, height, width) or (batch, channels, length), made of ops.

Internally the batch is last: (height, channels, width, batch). The transposes between two such functions cancel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backprop_cli.autodiff.families import inverse
from backprop_cli.autodiff.functions import broadcast_to, matmul, mean, reshape, transpose
from backprop_cli.autodiff.ops.convolution import Convolution, ConvolutionTranspose, Pairs
from backprop_cli.autodiff.ops.pooling import MaxPool, WindowSum
from backprop_cli.autodiff.spec import Array
from backprop_cli.autodiff.value import Value, constant

_BATCH_LAST = {3: (1, 2, 0), 4: (2, 1, 3, 0)}
"""Orders of axes by their number: (channels, length, batch), (height, channels, width, batch)."""


def _batch_last(x: Value) -> Value:
    return transpose(x, _BATCH_LAST[x.ndim])


def _batch_first(x: Value) -> Value:
    return transpose(x, inverse(_BATCH_LAST[x.ndim]))


def _spatial(axes: int) -> tuple[int, ...]:
    """The axes that windows slide along, with the batch last: height and width, or length."""
    return (0, 2) if axes == 4 else (1,)


def _biased(x: Value, bias: Value | None) -> Value:
    return _batch_first(x if bias is None else x + reshape(bias, (bias.size, 1, 1)))


def convolution(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Pairs,
    groups: int = 1,
) -> Value:
    """Windows of x times filters (see the op), plus a bias per filter; PyTorch's ``conv1d`` and ``conv2d``.

    Shapes: x (batch, channels, *sizes), weight (filters, channels / groups, *kernel), bias (filters,)
            -> (batch, filters, *windows)
    """
    op = Convolution(tuple(stride), tuple(dilation), padding, groups)
    return _biased(op(_batch_last(x), weight), bias)


def convolution_transpose(
    x: Value,
    weight: Value,
    bias: Value | None = None,
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Pairs,
    size: Sequence[int],
    groups: int = 1,
) -> Value:
    """The transpose of a convolution of images of ``size``; PyTorch's ``conv_transpose2d``.

    Shapes: x (batch, filters, *windows), weight (filters, channels / groups, *kernel), bias (channels,)
            -> (batch, channels, *size)
    """
    op = ConvolutionTranspose(tuple(stride), tuple(dilation), padding, groups, tuple(size))
    return _biased(op(_batch_last(x), weight), bias)


def max_pool(x: Value, kernel: Sequence[int], stride: Sequence[int], padding: Pairs) -> Value:
    """Largest element of each window; the first of equal ones has the derivative, as in PyTorch.

    Shapes: x (batch, channels, *sizes) -> (batch, channels, *windows)
    """
    out = _batch_last(x)
    # Columns, then rows: the first of equal elements is then the first in row-major order.
    for place, axis in reversed(list(enumerate(_spatial(x.ndim)))):
        out = MaxPool(axis, kernel[place], stride[place], *padding[place])(out)
    return _batch_first(out)


def average_pool(x: Value, kernel: Sequence[int], stride: Sequence[int], padding: Pairs) -> Value:
    """Mean of each window; the zeros of the padding count, as in PyTorch.

    Shapes: x (batch, channels, *sizes) -> (batch, channels, *windows)
    """
    out = _batch_last(x)
    for place, axis in enumerate(_spatial(x.ndim)):
        out = WindowSum(axis, kernel[place], stride[place], *padding[place])(out)
    return _batch_first(out * (1.0 / int(np.prod(kernel))))


def global_average_pool(x: Value) -> Value:
    """Mean of each channel.

    Shapes: x (batch, channels, *sizes) -> (batch, channels)
    """
    return transpose(mean(_batch_last(x), _spatial(x.ndim)))


def global_max_pool(x: Value) -> Value:
    """Largest element of each channel; the first of equal ones has the derivative, as in PyTorch's ``AdaptiveMaxPool``.

    Shapes: x (batch, channels, *sizes) -> (batch, channels)
    """
    sizes = x.shape[2:]
    return reshape(max_pool(x, sizes, sizes, ((0, 0),) * len(sizes)), x.shape[:2])


def repeat(x: Value, factors: Sequence[int]) -> Value:
    """Each element ``factors`` times along each axis of the image: nearest-neighbour upsampling.

    Shapes: x (batch, channels, *sizes) -> (batch, channels, *(sizes * factors))
    """
    out = _batch_last(x)
    for axis, factor in zip(_spatial(x.ndim), factors, strict=True):
        before, after = out.shape[: axis + 1], out.shape[axis + 1 :]
        copies = broadcast_to(reshape(out, (*before, 1, *after)), (*before, factor, *after))
        out = reshape(copies, (*before[:-1], before[-1] * factor, *after))
    return _batch_first(out)


def interpolate(x: Value, factors: Sequence[int]) -> Value:
    """Linear interpolation along each axis of the image: bilinear upsampling, PyTorch's ``align_corners=False``.

    Output ``q`` lies at ``(q + 1/2) / factor - 1/2``, between its two neighbours, or on the edge element.

    Shapes: x (batch, channels, *sizes) -> (batch, channels, *(sizes * factors))
    """
    out = _batch_last(x)
    for axis, factor in zip(_spatial(x.ndim), factors, strict=True):
        matrix = constant(interpolation(out.shape[axis], factor), x.dtype)
        before, after = out.shape[:axis], out.shape[axis + 1 :]
        rows = reshape(out, (*before, out.shape[axis], int(np.prod(after))))
        out = reshape(matmul(matrix, rows), (*before, out.shape[axis] * factor, *after))
    return _batch_first(out)


def interpolation(size: int, factor: int) -> Array:
    """(size * factor, size): row q has the weights of the elements in output q."""
    place = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    weights: Array = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(size)))
    return weights
