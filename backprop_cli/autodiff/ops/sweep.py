"""Sweep: windows that slide along an axis, as slices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Sweep(NamedTuple):
    """Windows along an axis of ``size`` elements, with ``before`` and ``after`` imagined elements around them.

    Element ``offset`` of window ``w`` is at ``w * stride + offset * dilation - before``.
    """

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def windows(self) -> int:
        """How many fit; less than 1 if none does."""
        return (self.size + self.before + self.after - (self.kernel - 1) * self.dilation - 1) // self.stride + 1

    def inside(self, offset: int, start: int, stop: int) -> tuple[int, int]:
        """The windows ``first:last`` of ``start:stop`` whose element ``offset`` is in the array."""
        shift = self.before - offset * self.dilation
        first = min(max(start, -(-shift // self.stride)), stop)
        return first, max(first, min(stop, (self.size - 1 + shift) // self.stride + 1))

    def elements(self, offset: int, first: int, last: int) -> slice:
        """Element ``offset`` of each of the windows ``first:last``; they all lie in the array."""
        at = first * self.stride + offset * self.dilation - self.before
        return slice(at, at + max((last - first - 1) * self.stride + 1, 0), self.stride)

    def pieces(self) -> Iterator[tuple[int, slice, slice]]:
        """Each offset that some windows have in the array, with these windows and the elements they read."""
        for offset in range(self.kernel):
            first, last = self.inside(offset, 0, self.windows)
            if first < last:
                yield offset, slice(first, last), self.elements(offset, first, last)
