"""Convolution and its two transposes: three bilinear ops whose derivatives are one another.

Arrays have the batch last: images (height, channels, width, batch), sequences (channels, length, batch). That is the
order in which convolutions are fast (see ``im2col``); ``Transpose`` gets there from (batch, channels, height, width).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from backprop_cli.autodiff.families import Bilinear
from backprop_cli.autodiff.op import common_dtype, register, sample
from backprop_cli.autodiff.ops.im2col import Calls, ConvolutionSizes
from backprop_cli.autodiff.ops.sweep import Sweep
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError

Pairs = tuple[tuple[int, int], ...]


class ConvolutionOp(Bilinear):
    """One of the three.

    ``stride``, ``dilation`` and ``padding`` (zeros before and after; less than none leaves elements out) have an entry
    for each axis that windows slide along: two for images, one for sequences.
    """

    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    padding: Pairs = ((0, 0), (0, 0))
    groups: int = 1
    roles: ClassVar[tuple[str, str, str]]
    """What the first operand, the second operand and ``out`` are: image, weight or result of the convolution."""

    def sizes(self, *x: tuple[int, ...]) -> ConvolutionSizes:
        """The sizes of image, weight and windows, from the shapes of the operands."""
        raise NotImplementedError

    def memory(self, sizes: ConvolutionSizes) -> tuple[int, int]:
        """Elements that ``calls`` needs in two arrays: for weights, for windows."""
        raise NotImplementedError

    def calls(self, sizes: ConvolutionSizes, x: Array, y: Array, out: Array, memory: Sequence[Array]) -> Calls:
        """The NumPy calls that compute ``out`` from contiguous operands."""
        raise NotImplementedError

    def eval(self, *x: Array, out: Array) -> None:
        if not all(array.size for array in x):
            out.fill(0)
            return
        sizes = self.sizes(*(array.shape for array in x))
        memory = [np.empty(size, np.result_type(*x)) for size in self.memory(sizes)]
        image, weight = map(np.ascontiguousarray, x)
        for call in self.calls(sizes, image, weight, out, memory):
            call()

    def check_axes(self, **given: Spec) -> None:
        """Raise ShapeError unless every operand has as many axes as windows slide along, and two more."""
        axes = len(self.stride) + 2
        if any(x.ndim != axes for x in given.values()):
            raise ShapeError(self, f"needs arrays of {axes} axes", **given)

    def checked(self, image: tuple[int, ...], weight: tuple[int, ...], /, **given: Spec) -> ConvolutionSizes:
        """The sizes of image and weight; raises ShapeError where they do not fit."""
        if min(*image[:-1], *weight) < 1:
            raise ShapeError(self, "nothing to convolve", **given)
        channels, _, batch = image[-3:]
        if weight[1] * self.groups != channels or weight[0] % self.groups:
            raise ShapeError(self, f"{channels} channels and {weight[0]} filters in {self.groups} groups", **given)
        down, across = ((Sweep(1, 1), *self._sweeps(image, weight)))[-2:]
        if min(down.windows, across.windows) < 1:
            raise ShapeError(self, "the kernel is larger than the padded array", **given)
        return ConvolutionSizes(batch, self.groups, weight[1], weight[0] // self.groups, down, across)

    def _sweeps(self, image: tuple[int, ...], weight: tuple[int, ...]) -> Iterator[Sweep]:
        spatial = (*image[:-3], image[-2])
        for axis, size in enumerate(spatial):
            yield Sweep(size, weight[axis + 2], self.stride[axis], self.dilation[axis], *self.padding[axis])

    def result(self, sizes: ConvolutionSizes) -> tuple[int, ...]:
        """The shape of a convolution."""
        shape = (sizes.down.windows, sizes.groups * sizes.filters, sizes.across.windows, sizes.batch)
        return shape[2 - len(self.stride) :]

    def of(self, kind: type[ConvolutionOp], **more: Any) -> ConvolutionOp:
        """Another of the three with the same fields."""
        return kind(self.stride, self.dilation, self.padding, self.groups, **more)


def _image(x: Array) -> Array:
    """A sequence is an image of height 1."""
    return x[None] if x.ndim == 3 else x


@register
class Convolution(ConvolutionOp):
    """``out[r, f, q, n] = sum_c,i,j x[r s + i d - p, c, q s + j d - p, n] * weight[f, c, i, j]``, zeros around x.

    A cross-correlation, as in PyTorch; s stride, d dilation, p the padding before. In groups, the filters of a group
    see its channels.

    Shapes: x (height, channels, width, batch) or (channels, length, batch); weight (filters, channels / groups,
            *kernel) -> out (rows, filters, columns, batch) or (filters, places, batch).
    """

    roles: ClassVar = ("image", "weight", "result")
    samples: ClassVar = (
        sample((4, 2, 5, 2), (3, 2, 2, 3)),
        sample((2, 6, 2), (2, 2, 3), stride=(2,), dilation=(1,), padding=((1, 1),)),
        sample((5, 4, 4, 1), (2, 2, 3, 2), stride=(2, 1), dilation=(1, 2), padding=((2, 1), (0, 1)), groups=2),
        sample((7, 1, 3, 2), (1, 1, 3, 1), stride=(1, 1), dilation=(2, 1), padding=((1, 0), (0, 0))),
        sample((3, 2, 2, 2), (2, 2, 1, 1)),
        sample((6, 9, 1), (3, 2, 2), stride=(3,), dilation=(1,), padding=((1, 1),), groups=3),
        sample((7, 4, 6, 1), (4, 1, 2, 2), stride=(3, 3), groups=4),
    )

    def sizes(self, *x: tuple[int, ...]) -> ConvolutionSizes:
        return self.checked(*x)

    def shape(self, *x: Spec) -> Spec:
        self.check_axes(x=x[0], weight=x[1])
        sizes = self.checked(x[0].shape, x[1].shape, x=x[0], weight=x[1])
        return Spec(self.result(sizes), common_dtype(self, *x))

    def memory(self, sizes: ConvolutionSizes) -> tuple[int, int]:
        return sizes.weights, sizes.buffer_size()

    def calls(self, sizes: ConvolutionSizes, x: Array, y: Array, out: Array, memory: Sequence[Array]) -> Calls:
        return sizes.forward(_image(x), y, _image(out), *memory)

    def transpose_left(self, cotangent: Value, x: Value, y: Value) -> Value:
        return self.of(ConvolutionTranspose, size=(*x.shape[:-3], x.shape[-2]))(cotangent, y)

    def transpose_right(self, cotangent: Value, x: Value, y: Value) -> Value:
        return self.of(ConvolutionWeight, kernel=y.shape[2:])(x, cotangent)


@register
class ConvolutionTranspose(ConvolutionOp):
    """The transpose of a convolution by its image: ``out[r s + i d - p, c, ...] += x[r, f, ...] * weight[f, c, i, j]``.

    Also known as deconvolution. ``size`` is the height and width of the image (its length).

    Shapes: x (rows, filters, columns, batch), weight (filters, channels / groups, *kernel) -> out (height, channels,
            width, batch); sequences without the first axis.
    """

    size: tuple[int, ...] = ()
    roles: ClassVar = ("result", "weight", "image")
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

    def sizes(self, *x: tuple[int, ...]) -> ConvolutionSizes:
        return self.checked(self._shape(*x), x[1])

    def shape(self, *x: Spec) -> Spec:
        self.check_axes(x=x[0], weight=x[1])
        shape = self._shape(x[0].shape, x[1].shape)
        sizes = self.checked(shape, x[1].shape, x=x[0], weight=x[1])
        if x[0].shape != self.result(sizes):
            raise ShapeError(self, f"a convolution of {list(shape)} does not have the shape of x", x=x[0], weight=x[1])
        return Spec(shape, common_dtype(self, *x))

    def memory(self, sizes: ConvolutionSizes) -> tuple[int, int]:
        return sizes.weights, sizes.strip_size()

    def calls(self, sizes: ConvolutionSizes, x: Array, y: Array, out: Array, memory: Sequence[Array]) -> Calls:
        return sizes.by_image(_image(x), y, _image(out), *memory)

    def transpose_left(self, cotangent: Value, x: Value, y: Value) -> Value:
        return self.of(Convolution)(cotangent, y)

    def transpose_right(self, cotangent: Value, x: Value, y: Value) -> Value:
        return self.of(ConvolutionWeight, kernel=y.shape[2:])(cotangent, x)


@register
class ConvolutionWeight(ConvolutionOp):
    """The transpose of a convolution by its weight: ``out[f, c, i, j] = sum x[r s + i d - p, c, .] * y[r, f, .]``.

    Shapes: x (height, channels, width, batch), y (rows, filters, columns, batch) -> out (filters, channels / groups,
            *kernel); sequences without the first axis.
    """

    kernel: tuple[int, ...] = ()
    roles: ClassVar = ("image", "result", "weight")
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

    def sizes(self, *x: tuple[int, ...]) -> ConvolutionSizes:
        return self.checked(x[0], self._shape(*x))

    def shape(self, *x: Spec) -> Spec:
        self.check_axes(x=x[0], y=x[1])
        shape = self._shape(x[0].shape, x[1].shape)
        sizes = self.checked(x[0].shape, shape, x=x[0], y=x[1])
        if x[1].shape != self.result(sizes):
            raise ShapeError(self, f"a convolution with {list(shape)} does not have the shape of y", x=x[0], y=x[1])
        return Spec(shape, common_dtype(self, *x))

    def memory(self, sizes: ConvolutionSizes) -> tuple[int, int]:
        return 2 * sizes.weights, sizes.buffer_size()

    def calls(self, sizes: ConvolutionSizes, x: Array, y: Array, out: Array, memory: Sequence[Array]) -> Calls:
        return sizes.by_weight(_image(x), _image(y), out, *memory)

    def transpose_left(self, cotangent: Value, x: Value, y: Value) -> Value:
        return self.of(ConvolutionTranspose, size=(*x.shape[:-3], x.shape[-2]))(y, cotangent)

    def transpose_right(self, cotangent: Value, x: Value, y: Value) -> Value:
        return self.of(Convolution)(x, cotangent)
