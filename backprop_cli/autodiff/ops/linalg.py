"""Products of matrices."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Bilinear, unbroadcast
from backprop_cli.autodiff.op import common_dtype, register, sample
from backprop_cli.autodiff.ops.shape import Transpose
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError


def flipped(x: Value) -> Value:
    """The matrices of x transposed; a view, which BLAS takes as a flag."""
    return Transpose((*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))(x)


@register
class Matmul(Bilinear):
    """``out[..., i, k] = sum_j x[..., i, j] y[..., j, k]``; leading axes broadcast."""

    samples: ClassVar = (
        sample((3, 4), (4, 2)),
        sample((1, 3), (3, 1)),
        sample((2, 3, 4), (2, 4, 5)),
        sample((2, 3, 4), (4, 5)),
        sample((2, 1, 2, 3), (3, 3, 2)),
    )

    def shape(self, *x: Spec) -> Spec:
        a, b = x
        if a.ndim < 2 or b.ndim < 2:
            raise ShapeError(self, "needs matrices", x=a, y=b)
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(self, f"{a.shape[-1]} columns of x against {b.shape[-2]} rows of y", x=a, y=b)
        try:
            lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise ShapeError(self, "leading axes do not broadcast", x=a, y=b) from None
        return Spec((*lead, a.shape[-2], b.shape[-1]), common_dtype(self, a, b))

    def eval(self, x: Array, y: Array, *, out: Array) -> None:
        if x.ndim == y.ndim == 2:
            x.dot(y, out)
        else:
            np.matmul(x, y, out)

    def transpose_left(self, cotangent: Value, x: Value, y: Value) -> Value:
        return unbroadcast(self(cotangent, flipped(y)), x.shape)

    def transpose_right(self, cotangent: Value, x: Value, y: Value) -> Value:
        return unbroadcast(self(flipped(x), cotangent), y.shape)
