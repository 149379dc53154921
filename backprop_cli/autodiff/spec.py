"""Spec: the shape and dtype of an array, known before the array exists."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Spec:
    """Shape and dtype of an array; prints as ``f4[32,10]``: float32 has 4 bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of a contiguous array of this spec."""
        return self.size * self.dtype.itemsize

    @property
    def is_inexact(self) -> bool:
        """Whether ops have derivatives by it: floats and complex numbers, not integers. ``grad(f)`` takes floats."""
        return self.dtype.kind in "fc"

    def with_shape(self, shape: tuple[int, ...]) -> Spec:
        """The same dtype in another shape."""
        return Spec(shape, self.dtype)

    def __str__(self) -> str:
        return f"{self.dtype.kind}{self.dtype.itemsize}[{','.join(map(str, self.shape))}]"


def spec_of(array: Array) -> Spec:
    """The spec of an existing array."""
    return Spec(array.shape, array.dtype)
