"""Convolution and its two transposes: three bilinear ops whose derivatives are one another.

Arrays have the batch last: images (height, channels, width, batch), sequences (channels, length, batch). That is the
order in which convolutions are fast (see ``im2col``); ``Transpose`` gets there from (batch, channels, height, width).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from backprop_cli.accumulation.local_jacobian import Local, inverted
from backprop_cli.autodiff.families import Bilinear, batched, reshaped
from backprop_cli.autodiff.op import common_dtype, register, sample
from backprop_cli.autodiff.ops.copies import Copy
from backprop_cli.autodiff.ops.parts import Slice
from backprop_cli.autodiff.ops.shape import BroadcastTo, Transpose
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError
from backprop_cli.execution.kernels import im2col
from backprop_cli.execution.kernels.calls import Calls, in_turn
from backprop_cli.execution.kernels.sweep import Sweep

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Convolving(Bilinear):
    """What the three have in common.

    ``stride``, ``dilation`` and ``padding`` (zeros before and after; less than none leaves elements out) have an entry
    for each axis that windows slide along: two for images, one for sequences.
    """

    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    padding: Pairs = ((0, 0), (0, 0))
    groups: int = 1

    def sizes(self, *x: tuple[int, ...]) -> im2col.Convolution:
        """What is convolved with what, from the shapes of the operands."""
        raise NotImplementedError

    def memory(self, sizes: im2col.Convolution) -> tuple[int, int]:
        """Elements that ``calls`` needs in two arrays: for weights, for windows."""
        raise NotImplementedError

    def calls(self, sizes: im2col.Convolution, x: Array, y: Array, out: Array, memory: Sequence[Array]) -> Calls:
        """The evaluation, on operands of which all but weights lie in line."""
        raise NotImplementedError

    def scratch(self, *x: Spec) -> tuple[Spec, ...]:
        """Room for the weights in another order, and for what some of the windows read."""
        dtype = np.result_type(*(spec.dtype for spec in x))
        return tuple(Spec((size,), dtype) for size in self.memory(self.sizes(*(spec.shape for spec in x))))

    def eval(self, *x: Array, out: Array, scratch: tuple[Array, ...]) -> None:
        """Run what ``bind`` chooses."""
        self.bind(*x, out=out, scratch=scratch)()

    def bind(self, *x: Array, out: Array, scratch: tuple[Array, ...] = ()) -> Callable[[], object]:
        """A list of copies and products, with all their views made."""
        if not all(array.size for array in x):
            return partial(out.fill, 0)
        if not all(array.flags.c_contiguous for array in x):
            return lambda: self.eval(*map(np.ascontiguousarray, x), out=out, scratch=scratch)
        sizes = self.sizes(*(array.shape for array in x))
        return in_turn(self.calls(sizes, x[0], x[1], out, scratch))

    def check_axes(self, **given: Spec) -> None:
        """Raise ShapeError unless every operand has as many axes as windows slide along, and two more."""
        axes = len(self.stride) + 2
        if any(x.ndim != axes for x in given.values()):
            raise ShapeError(self, f"needs arrays of {axes} axes", **given)

    def checked(self, image: tuple[int, ...], weight: tuple[int, ...], /, **given: Spec) -> im2col.Convolution:
        """The sizes of image and weight; raises ShapeError where they do not fit."""
        if min(*image[:-1], *weight) < 1:
            raise ShapeError(self, "nothing to convolve", **given)
        channels, _, batch = image[-3:]
        if weight[1] * self.groups != channels or weight[0] % self.groups:
            raise ShapeError(self, f"{channels} channels and {weight[0]} filters in {self.groups} groups", **given)
        down, across = ((Sweep(1, 1), *self._sweeps(image, weight)))[-2:]
        if min(down.windows, across.windows) < 1:
            raise ShapeError(self, "the kernel is larger than the padded array", **given)
        return im2col.Convolution(batch, self.groups, weight[1], weight[0] // self.groups, down, across)

    def _sweeps(self, image: tuple[int, ...], weight: tuple[int, ...]) -> Iterator[Sweep]:
        spatial = (*image[:-3], image[-2])
        for axis, size in enumerate(spatial):
            yield Sweep(size, weight[axis + 2], self.stride[axis], self.dilation[axis], *self.padding[axis])

    def result(self, sizes: im2col.Convolution) -> tuple[int, ...]:
        """The shape of a convolution."""
        shape = (sizes.down.windows, sizes.groups * sizes.filters, sizes.across.windows, sizes.batch)
        return shape[2 - len(self.stride) :]

    def of(self, kind: type[Convolving], **more: Any) -> Convolving:
        """Another of the three with the same fields."""
        return kind(self.stride, self.dilation, self.padding, self.groups, **more)

    def simplify(self, *x: Value) -> Value | None:
        """Operands that do not lie in line are copied, once for all who read them."""
        in_line = tuple(_in_line(v) for v in x)
        return None if in_line == x else self(*in_line)

    def flops(self, *x: Spec) -> int:
        """A multiplication and an addition a term."""
        return 2 * self.multiplications(*x)

    def multiplications(self, *x: Spec) -> int:
        """Windows * filters * numbers in a filter; windows on padding are counted whole."""
        sizes = self.sizes(*(spec.shape for spec in x))
        return sizes.down.windows * sizes.across.windows * sizes.batch * sizes.weights

    def products(self, *x: Spec) -> int:
        """One for each row of windows and each group."""
        return self.sizes(*(spec.shape for spec in x)).down.windows * self.groups

    def vectorize(self, size: int, x: Sequence[Value], mapped: Sequence[bool]) -> Value:
        """A larger batch where the weights are the same for all, more groups where they are not."""
        is_weight = [k == self.weight_at for k in range(3)]
        if tuple(mapped) == (True, False) and is_weight[1]:
            return _from_batch(self(_to_batch(x[0]), x[1]), size)
        grouped = (_to_channels(v, is_weight[k]) for k, v in enumerate(batched(size, x, mapped)))
        return _from_channels(replace(self, groups=size * self.groups)(*grouped), size, is_weight[2])

    weight_at: ClassVar[int] = 1
    """Which operand is the weight; 2 is the result."""

    def local(self, primals: Sequence[Value], out: Value) -> tuple[Local | None, ...]:
        """Each result, image and weight that are one term: the third is made of the other two."""
        sizes = self.sizes(*(v.shape for v in primals))
        image, weight = _terms(sizes)
        result = np.broadcast_to(np.arange(len(image))[:, None], image.shape)
        *reads, made = self.in_order(image, weight, result)
        return tuple(
            Local(inverted(made, read, out.size), False, v.size) for read, v in zip(reads, primals, strict=True)
        )

    def zeros(self, *x: Value) -> Array | None:
        """Entries without a term: between the pixels of a strided or dilated transpose, or only in padding."""
        out = self(*x)
        local, _ = self.local(x, out)
        if local is None or (local.reads >= 0).any(axis=1).all():
            return None
        return (local.reads < 0).all(axis=1, keepdims=True).reshape(out.shape)

    def in_order(self, image: Array, weight: Array, result: Array) -> tuple[Array, Array, Array]:
        """First operand, second operand, what the op makes of them."""
        raise NotImplementedError


def _in_line(x: Value) -> Value:
    moves = isinstance(x.op, (Transpose, BroadcastTo)) or (isinstance(x.op, Slice) and x.op.axis > 0)
    return Copy()(x) if moves else x


def _terms(sizes: im2col.Convolution) -> tuple[Array, Array]:
    """(results, inner): the flat indices of image and weight in every term of a result; -1 on padding."""
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


def _to_batch(x: Value) -> Value:
    """(size, ..., batch) -> (..., size * batch)."""
    axes = x.ndim
    return reshaped(Transpose((*range(1, axes - 1), 0, axes - 1))(x), (*x.shape[1:-1], x.shape[0] * x.shape[-1]))


def _from_batch(x: Value, size: int) -> Value:
    axes = x.ndim
    return Transpose((axes - 1, *range(axes - 1), axes))(reshaped(x, (*x.shape[:-1], size, x.shape[-1] // size)))


def _to_channels(x: Value, is_weight: bool) -> Value:
    """(size, ...) -> size times the channels, or the filters."""
    at = 0 if is_weight else x.ndim - 4
    front = Transpose((*range(1, at + 1), 0, *range(at + 1, x.ndim)))(x)
    return reshaped(front, (*x.shape[1 : at + 1], x.shape[0] * x.shape[at + 1], *x.shape[at + 2 :]))


def _from_channels(x: Value, size: int, is_weight: bool) -> Value:
    at = 0 if is_weight else x.ndim - 3
    parted = reshaped(x, (*x.shape[:at], size, x.shape[at] // size, *x.shape[at + 1 :]))
    return Transpose((at, *range(at), *range(at + 1, x.ndim + 1)))(parted)


def _image(x: Array) -> Array:
    """A sequence is an image of height 1."""
    return x[None] if x.ndim == 3 else x


@register
@dataclass(frozen=True)
class Convolution(Convolving):
    """``out[r, f, q, n] = sum_c,i,j x[r s + i d - p, c, q s + j d - p, n] * weight[f, c, i, j]``, zeros around x.

    A cross-correlation, as in PyTorch; s stride, d dilation, p the padding before. In groups, the filters of a group
    see its channels.

    Shapes: x (height, channels, width, batch) or (channels, length, batch); weight (filters, channels / groups,
            *kernel) -> out (rows, filters, columns, batch) or (filters, places, batch).
    """

    samples: ClassVar = (
        sample((4, 2, 5, 2), (3, 2, 2, 3)),
        sample((2, 6, 2), (2, 2, 3), stride=(2,), dilation=(1,), padding=((1, 1),)),
        sample((5, 4, 4, 1), (2, 2, 3, 2), stride=(2, 1), dilation=(1, 2), padding=((2, 1), (0, 1)), groups=2),
        sample((7, 1, 3, 2), (1, 1, 3, 1), stride=(1, 1), dilation=(2, 1), padding=((1, 0), (0, 0))),
        sample((3, 2, 2, 2), (2, 2, 1, 1)),
        sample((6, 9, 1), (3, 2, 2), stride=(3,), dilation=(1,), padding=((1, 1),), groups=3),
        sample((7, 4, 6, 1), (4, 1, 2, 2), stride=(3, 3), groups=4),
    )

    def sizes(self, *x: tuple[int, ...]) -> im2col.Convolution:
        """Of x and the weight."""
        return self.checked(*x)

    def shape(self, *x: Spec) -> Spec:
        """A number a filter, window and example."""
        self.check_axes(x=x[0], weight=x[1])
        sizes = self.checked(x[0].shape, x[1].shape, x=x[0], weight=x[1])
        return Spec(self.result(sizes), common_dtype(self, *x))

    def memory(self, sizes: im2col.Convolution) -> tuple[int, int]:
        """Filters, windows."""
        return sizes.weights, sizes.buffer_size()

    def calls(self, sizes: im2col.Convolution, x: Array, y: Array, out: Array, memory: Sequence[Array]) -> Calls:
        """Filters times windows."""
        return sizes.forward(_image(x), y, _image(out), *memory)

    def transpose_left(self, cotangent: Value, x: Value, y: Value) -> Value:
        """The transpose by x."""
        return self.of(ConvolutionTranspose, size=(*x.shape[:-3], x.shape[-2]))(cotangent, y)

    def transpose_right(self, cotangent: Value, x: Value, y: Value) -> Value:
        """The transpose by the weight."""
        return self.of(ConvolutionWeight, kernel=y.shape[2:])(x, cotangent)

    def in_order(self, image: Array, weight: Array, result: Array) -> tuple[Array, Array, Array]:
        """Image and weight make the result."""
        return image, weight, result


@register
@dataclass(frozen=True)
class ConvolutionTranspose(Convolving):
    """The transpose of a convolution by its image: ``out[r s + i d - p, c, ...] += x[r, f, ...] * weight[f, c, i, j]``.

    Also known as deconvolution. ``size`` is the height and width of the image (its length).

    Shapes: x (rows, filters, columns, batch), weight (filters, channels / groups, *kernel) -> out (height, channels,
            width, batch); sequences without the first axis.
    """

    size: tuple[int, ...] = ()
    samples: ClassVar = (
        sample((3, 3, 3, 2), (3, 2, 2, 3), size=(4, 5)),
        sample((2, 3, 2), (2, 2, 3), stride=(2,), dilation=(1,), padding=((1, 1),), size=(6,)),
        sample(
            (3, 2, 3, 1), (2, 2, 3, 2), stride=(2, 1), dilation=(1, 2), padding=((2, 1), (0, 1)), groups=2, size=(5, 4)
        ),
        sample((2, 2, 2, 1), (2, 1, 3, 1), stride=(3, 1), dilation=(2, 1), padding=((1, 0), (0, 0)), size=(7, 2)),
        sample((3, 2, 2, 2), (2, 2, 1, 1), size=(3, 2)),
        sample((3, 4, 1), (3, 2, 2), stride=(3,), dilation=(1,), padding=((1, 1),), groups=3, size=(9,)),
        sample((2, 4, 2, 1), (4, 1, 2, 2), stride=(3, 3), groups=4, size=(7, 6)),
        sample((1, 1, 1, 1), (1, 1, 1, 1), size=(1, 1)),
    )

    def _shape(self, result: tuple[int, ...], weight: tuple[int, ...]) -> tuple[int, ...]:
        *height, width = self.size
        return (*height, weight[1] * self.groups, width, result[-1])

    def sizes(self, *x: tuple[int, ...]) -> im2col.Convolution:
        """Of the image that is made and the weight."""
        return self.checked(self._shape(*x), x[1])

    def shape(self, *x: Spec) -> Spec:
        """That of an image whose convolution has the shape of x."""
        self.check_axes(x=x[0], weight=x[1])
        shape = self._shape(x[0].shape, x[1].shape)
        sizes = self.checked(shape, x[1].shape, x=x[0], weight=x[1])
        if x[0].shape != self.result(sizes):
            raise ShapeError(self, f"a convolution of {list(shape)} does not have the shape of x", x=x[0], weight=x[1])
        return Spec(shape, common_dtype(self, *x))

    def memory(self, sizes: im2col.Convolution) -> tuple[int, int]:
        """Filters, products."""
        return sizes.weights, sizes.strip_size()

    def calls(self, sizes: im2col.Convolution, x: Array, y: Array, out: Array, memory: Sequence[Array]) -> Calls:
        """Products, added where they belong."""
        return sizes.by_image(_image(x), y, _image(out), *memory)

    def transpose_left(self, cotangent: Value, x: Value, y: Value) -> Value:
        """The convolution."""
        return self.of(Convolution)(cotangent, y)

    def transpose_right(self, cotangent: Value, x: Value, y: Value) -> Value:
        """The convolution's transpose by the weight."""
        return self.of(ConvolutionWeight, kernel=y.shape[2:])(cotangent, x)

    def in_order(self, image: Array, weight: Array, result: Array) -> tuple[Array, Array, Array]:
        """Result and weight make the image."""
        return result, weight, image


@register
@dataclass(frozen=True)
class ConvolutionWeight(Convolving):
    """The transpose of a convolution by its weight: ``out[f, c, i, j] = sum x[r s + i d - p, c, .] * y[r, f, .]``.

    Shapes: x (height, channels, width, batch), y (rows, filters, columns, batch) -> out (filters, channels / groups,
            *kernel); sequences without the first axis.
    """

    kernel: tuple[int, ...] = ()
    weight_at: ClassVar = 2
    samples: ClassVar = (
        sample((4, 2, 5, 2), (3, 3, 3, 2), kernel=(2, 3)),
        sample((2, 6, 2), (2, 3, 2), stride=(2,), dilation=(1,), padding=((1, 1),), kernel=(3,)),
        sample((6, 9, 1), (3, 4, 1), stride=(3,), dilation=(1,), padding=((1, 1),), groups=3, kernel=(2,)),
        sample((7, 4, 6, 1), (2, 4, 2, 1), stride=(3, 3), groups=4, kernel=(2, 2)),
        sample(
            (5, 4, 4, 1),
            (3, 2, 3, 1),
            stride=(2, 1),
            dilation=(1, 2),
            padding=((2, 1), (0, 1)),
            groups=2,
            kernel=(3, 2),
        ),
        sample((7, 1, 3, 2), (4, 1, 3, 2), dilation=(2, 1), padding=((1, 0), (0, 0)), kernel=(3, 1)),
        sample((3, 2, 2, 2), (3, 2, 2, 2), kernel=(1, 1)),
        sample((1, 1, 1, 1), (1, 1, 1, 1), kernel=(1, 1)),
    )

    def _shape(self, image: tuple[int, ...], result: tuple[int, ...]) -> tuple[int, ...]:
        return (result[-3], image[-3] // self.groups, *self.kernel)

    def sizes(self, *x: tuple[int, ...]) -> im2col.Convolution:
        """Of x and the weight that is made."""
        return self.checked(x[0], self._shape(*x))

    def shape(self, *x: Spec) -> Spec:
        """That of a weight with which the convolution of x has the shape of y."""
        self.check_axes(x=x[0], y=x[1])
        shape = self._shape(x[0].shape, x[1].shape)
        sizes = self.checked(x[0].shape, shape, x=x[0], y=x[1])
        if x[1].shape != self.result(sizes):
            raise ShapeError(self, f"a convolution with {list(shape)} does not have the shape of y", x=x[0], y=x[1])
        return Spec(shape, common_dtype(self, *x))

    def memory(self, sizes: im2col.Convolution) -> tuple[int, int]:
        """Two sums, windows."""
        return 2 * sizes.weights, sizes.buffer_size()

    def calls(self, sizes: im2col.Convolution, x: Array, y: Array, out: Array, memory: Sequence[Array]) -> Calls:
        """Results times windows, summed."""
        return sizes.by_weight(_image(x), _image(y), out, *memory)

    def transpose_left(self, cotangent: Value, x: Value, y: Value) -> Value:
        """The convolution's transpose by the image."""
        return self.of(ConvolutionTranspose, size=(*x.shape[:-3], x.shape[-2]))(y, cotangent)

    def transpose_right(self, cotangent: Value, x: Value, y: Value) -> Value:
        """The convolution."""
        return self.of(Convolution)(x, cotangent)

    def in_order(self, image: Array, weight: Array, result: Array) -> tuple[Array, Array, Array]:
        """Image and result make the weight."""
        return image, result, weight
