"""Convolutions as products of matrices, without the matrix of all windows.

Arrays are (height, channels, width, batch). A buffer holds, for each row of the image and each column of the kernel,
the pixels that the column reads: (height, kernel width, channels, windows * batch). All rows of the kernel then read
one piece of the buffer, and a row of windows is one product. The buffer is larger than the image by the kernel's width,
not by its area, and holds a few rows at a time. With the batch innermost, every copy is one of long runs.

Measured against the same with channels before height and one column a kernel element: half the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from backprop_cli.autodiff.ops.sweep import Sweep
from backprop_cli.autodiff.spec import Array

Calls = list[Callable[[], object]]
"""NumPy calls with all their views made: ``eval`` makes them once, a plan at each run."""

LIMIT = 2**19
"""Elements of the buffer, if one window of every example fits: 2 MB of float32, about a core's own cache."""


class Block(NamedTuple):
    """Rows and columns of the windows that are in the buffer together."""

    top: int
    bottom: int
    left: int
    right: int


class ConvolutionSizes(NamedTuple):
    """Sizes of a convolution: ``channels`` and ``filters`` are counted for one of the ``groups``.

    Shapes: image (height, groups * channels, width, batch); weight (groups * filters, channels, kernel height, kernel
            width); result (rows of windows, groups * filters, columns of windows, batch). All contiguous.
    """

    batch: int
    groups: int
    channels: int
    filters: int
    down: Sweep
    across: Sweep

    @property
    def inner(self) -> int:
        """Terms of a sum: numbers in a filter."""
        return self.down.kernel * self.across.kernel * self.channels

    @property
    def weights(self) -> int:
        """Numbers in all filters."""
        return self.groups * self.filters * self.inner

    @property
    def reads_image(self) -> bool:
        """Whether a product can read rows of the image without a buffer."""
        whole = self.across._replace(size=0) == Sweep(0, 1) and self.down.dilation == 1
        return whole and not self.down.before and self.down.after <= 0 and (self.groups == 1 or self.down.kernel == 1)

    @property
    def row_step(self) -> int:
        """Rows of the buffer from one window to the next: dilated windows do not share any."""
        return self.down.stride if self.down.dilation == 1 else self.down.kernel

    def _width(self, elements: int) -> int:
        """Columns of windows in a block, if a column takes this many elements of the buffer; blocks have one size."""
        most = max(1, LIMIT // max(1, elements))
        return math.ceil(self.across.windows / math.ceil(self.across.windows / most))

    def _height(self, width: int) -> int:
        """Rows of windows in a block."""
        rows = LIMIT // max(1, self.groups * self.across.kernel * self.channels * width * self.batch)
        most = max(1, (rows - self.down.kernel) // self.row_step + 1)
        return math.ceil(self.down.windows / math.ceil(self.down.windows / most))

    def _block(self) -> tuple[int, int]:
        width = self._width(self.groups * self.inner * self.batch)
        return self._height(width), width

    def buffer_shape(self, height: int, width: int) -> tuple[int, ...]:
        """The buffer's shape for this many rows and columns of windows."""
        rows = (height - 1) * self.row_step + self.down.kernel
        return (self.groups, rows, self.across.kernel, self.channels, width, self.batch)

    def columns(self, block: Block) -> slice:
        """The block's columns, of every example, in a row."""
        return slice(block.left * self.batch, block.right * self.batch)

    def buffer_size(self) -> int:
        """Elements of the buffer of ``forward`` and ``by_weight``."""
        if self.reads_image:
            return 0
        return math.prod(self.buffer_shape(*self._block()))

    def strip_size(self) -> int:
        """Elements of the buffer of ``by_image``."""
        row = self.groups * self.across.kernel * self.channels * self.batch
        return row * self._width(row)

    def _blocks(self) -> Iterator[Block]:
        height, width = self._block()
        for top, left in product(range(0, self.down.windows, height), range(0, self.across.windows, width)):
            yield Block(top, min(top + height, self.down.windows), left, min(left + width, self.across.windows))

    def forward(self, image: Array, weight: Array, out: Array, flat: Array, buffer: Array) -> Calls:
        """``out[r, f, q, n] = sum_c,i,j image[., c, ., n] * weight[f, c, i, j]``; ``flat`` has room for the weights."""
        filters = flat.reshape(self.groups, self.filters, self.inner)
        calls: Calls = [partial(np.copyto, self._by_row(filters), self._grouped(weight))]
        pixels = PixelBuffer(self, image, buffer)
        for block in self._blocks():
            calls += pixels.fill(block)
            for row, windows in pixels.windows(block):
                calls.append(partial(np.matmul, filters, windows, self._row(out, row, block)))
        return calls

    def by_weight(self, image: Array, result: Array, out: Array, sums: Array, buffer: Array) -> Calls:
        """``out[f, c, i, j] = sum_r,q,n image[., c, ., n] * result[r, f, q, n]``; ``sums`` has room for two of them."""
        total, part = sums.reshape(2, self.groups, self.filters, self.inner)
        calls: Calls = []
        pixels = PixelBuffer(self, image, buffer)
        for block in self._blocks():
            calls += pixels.fill(block)
            for row, windows in pixels.windows(block):
                is_first = (row, block.left) == (0, 0)
                here = self._row(result, row, block)
                calls.append(partial(np.matmul, here, windows.transpose(0, 2, 1), total if is_first else part))
                if not is_first:
                    calls.append(partial(np.add, total, part, total))
        return [*calls, partial(np.copyto, self._grouped(out), self._by_row(total))]

    def by_image(self, result: Array, weight: Array, out: Array, flat: Array, buffer: Array) -> Calls:
        """``out[., c, ., n] += result[r, f, q, n] * weight[f, c, i, j]``, over zeros.

        For each row of the image, the rows of windows that read it times the rows of the kernel they read it with: one
        product if they are neighbours. The product is added to the image column of the kernel by column.
        """
        period, matrix, calls = self._by_column(weight, flat)
        place = {i: number for number, i in enumerate(sorted(range(self.down.kernel), key=lambda i: (i % period, -i)))}
        width = self._width(self.groups * self.across.kernel * self.channels * self.batch)
        images = out.reshape(self.down.size, self.groups, self.channels, self.across.size, self.batch)
        for row in range(self.down.size):
            calls.append(partial(images[row].fill, 0))
            for first, last, i in self._readers(row):
                columns = slice(place[i] * self.filters, (place[i] + last - first) * self.filters)
                for left in range(0, self.across.windows, width):
                    block = Block(first, last, left, min(left + width, self.across.windows))
                    calls += self._spread(matrix[:, :, columns], self._rows(result, block), images[row], block, buffer)
        return calls

    def _spread(self, matrix: Array, rows: Array, image: Array, block: Block, buffer: Array) -> Calls:
        strip = buffer[: matrix.shape[0] * matrix.shape[1] * rows.shape[2]].reshape(*matrix.shape[:2], rows.shape[2])
        columns = strip.reshape(self.groups, self.across.kernel, self.channels, -1, self.batch)
        calls: Calls = [partial(np.matmul, matrix, rows, strip)]
        for j in range(self.across.kernel):
            first, last = self.across.inside(j, block.left, block.right)
            if first < last:
                target = image[:, :, self.across.elements(j, first, last)]
                calls.append(partial(np.add, target, columns[:, j, :, first - block.left : last - block.left], target))
        return calls

    def _readers(self, row: int) -> Iterator[tuple[int, int, int]]:
        """Runs ``first, last, i`` of rows of windows that read an image row, the first with row i of the kernel."""
        found: list[list[int]] = []
        for i in reversed(range(self.down.kernel)):
            shifted = row + self.down.before - i * self.down.dilation
            window, rest = divmod(shifted, self.down.stride)
            if rest or not 0 <= window < self.down.windows:
                continue
            if found and self.groups == 1 and found[-1][1] == window:
                found[-1][1] += 1
            else:
                found.append([window, window + 1, i])
        return ((first, last, i) for first, last, i in found)

    def _by_column(self, weight: Array, flat: Array) -> tuple[int, Array, Calls]:
        """Filters as (groups, kernel width * channels, kernel height * filters).

        The rows of the kernel that read the same row of an image come one after the other, the last one first: those
        that are ``period`` apart.
        """
        period = self.down.stride // math.gcd(self.down.stride, self.down.dilation)
        shape = (self.groups, self.across.kernel, self.channels, self.down.kernel, self.filters)
        target, source = flat.reshape(shape), self._grouped(weight).transpose(0, 4, 2, 3, 1)
        calls: Calls = []
        start = 0
        for phase in range(min(period, self.down.kernel)):
            rows = source[:, :, :, phase::period][:, :, :, ::-1]
            calls.append(partial(np.copyto, target[:, :, :, start : start + rows.shape[3]], rows))
            start += rows.shape[3]
        return period, target.reshape(self.groups, self.across.kernel * self.channels, -1), calls

    def _grouped(self, weight: Array) -> Array:
        return weight.reshape(self.groups, self.filters, self.channels, self.down.kernel, self.across.kernel)

    def _by_row(self, filters: Array) -> Array:
        """The view of ``_grouped`` for filters in the order of the buffer."""
        shape = (self.groups, self.filters, self.down.kernel, self.across.kernel, self.channels)
        return filters.reshape(shape).transpose(0, 1, 4, 2, 3)

    def _row(self, result: Array, row: int, block: Block) -> Array:
        """(groups, filters, columns * batch): a row of windows of a result."""
        rows: Array = result[row].reshape(self.groups, self.filters, -1)
        return rows[:, :, self.columns(block)]

    def _rows(self, result: Array, block: Block) -> Array:
        """(groups, rows * filters, columns * batch); one row if there are several groups."""
        if self.groups > 1:
            return self._row(result, block.top, block)
        rows = result.reshape(1, self.down.windows * self.filters, -1)
        return rows[:, block.top * self.filters : block.bottom * self.filters, self.columns(block)]


class PixelBuffer(NamedTuple):
    """The pixels that a block of windows reads: rows of the image itself, or copies in ``buffer``."""

    sizes: ConvolutionSizes
    image: Array
    buffer: Array

    def windows(self, block: Block) -> Iterator[tuple[int, Array]]:
        """Each row of windows with the pixels that it reads: (groups, inner, columns * batch)."""
        sizes = self.sizes
        if sizes.reads_image:
            for row in range(block.top, block.bottom):
                start = row * sizes.down.stride
                read = self.image[start : start + sizes.down.kernel].reshape(sizes.groups, sizes.inner, -1)
                yield row, read[:, :, sizes.columns(block)]
            return
        rows = self._held(block).reshape(sizes.groups, -1, (block.right - block.left) * sizes.batch)
        height = sizes.across.kernel * sizes.channels
        for row in range(block.top, block.bottom):
            start = (row - block.top) * sizes.row_step * height
            yield row, rows[:, start : start + sizes.inner]

    def fill(self, block: Block) -> Calls:
        """Copy the pixels that the windows of a block read to the buffer, with zeros outside the image."""
        sizes, down = self.sizes, self.sizes.down
        if sizes.reads_image:
            return []
        held = self._held(block)
        images = self.image.reshape(down.size, sizes.groups, sizes.channels, sizes.across.size, sizes.batch)
        images = images.transpose(1, 0, 2, 3, 4)
        if down.dilation == 1:
            start = block.top * down.stride - down.before
            return self._fill_rows(images, held, Sweep(down.size, 1, 1, 1, -start), block)
        calls: Calls = []
        for number, row in enumerate(range(block.top, block.bottom)):
            start = row * down.stride - down.before
            rows = held[:, number * down.kernel : (number + 1) * down.kernel]
            calls += self._fill_rows(images, rows, Sweep(down.size, 1, down.dilation, 1, -start), block)
        return calls

    def _held(self, block: Block) -> Array:
        """The part of the buffer for a block."""
        shape = self.sizes.buffer_shape(block.bottom - block.top, block.right - block.left)
        return self.buffer[: math.prod(shape)].reshape(shape)

    def _fill_rows(self, images: Array, held: Array, rows: Sweep, block: Block) -> Calls:
        across, count = self.sizes.across, held.shape[1]
        top, bottom = rows.inside(0, 0, count)
        zeros = [held[:, :top], held[:, bottom:]]
        copies: Calls = []
        source, inside = images[:, rows.elements(0, top, bottom)], held[:, top:bottom]
        for j in range(across.kernel):
            left, right = across.inside(j, block.left, block.right)
            first, last = left - block.left, right - block.left
            zeros += [inside[:, :, j, :, :first], inside[:, :, j, :, last:]]
            if first < last:
                read = source[:, :, :, across.elements(j, left, right)]
                copies.append(partial(np.copyto, inside[:, :, j, :, first:last], read))
        return [*(partial(gap.fill, 0) for gap in zeros if gap.size), *copies]
