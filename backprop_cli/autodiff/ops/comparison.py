"""Comparisons as arrays of 0 and 1, whose derivatives are 0, and the ops that choose by them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from backprop_cli.autodiff.families import Constant, Elementwise, Partial
from backprop_cli.autodiff.op import Sample, register, sample
from backprop_cli.autodiff.ops.copies import Cast
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError


class Comparison(Elementwise):
    """``out = 1 where the comparison holds, else 0``, in the operands' dtype, so that it multiplies."""

    is_smooth: ClassVar[bool] = False
    is_step: ClassVar[bool] = True
    samples: ClassVar[tuple[Sample, ...]] = (sample((3, 4), (3, 4)), sample((3, 4), ()))

    def partials(self, *x: Value, out: Value) -> tuple[Partial, ...]:
        return None, None  # constant, but for its jumps


@register
class Greater(Comparison):
    """``out = [x > y]``."""

    ufunc: ClassVar = np.greater
    expression: ClassVar = "{one} if {0} > {1} else {zero}"


@register
class GreaterEqual(Comparison):
    """``out = [x >= y]``."""

    ufunc: ClassVar = np.greater_equal
    expression: ClassVar = "{one} if {0} >= {1} else {zero}"


@register
class Less(Comparison):
    """``out = [x < y]``."""

    ufunc: ClassVar = np.less
    expression: ClassVar = "{one} if {0} < {1} else {zero}"


@register
class Equal(Comparison):
    """``out = [x = y]``."""

    ufunc: ClassVar = np.equal
    expression: ClassVar = "{one} if {0} == {1} else {zero}"


@register
class Where(Elementwise):
    """``out = x where condition is not 0, else y``. inf or NaN in the operand not chosen has no effect."""

    expression: ClassVar = "{1} if {0} != {zero} else {2}"
    samples: ClassVar = (
        Sample(((3, 4), (3, 4), (3, 4)), labels=(0,), classes=2),
        Sample(((4,), (3, 1), ()), labels=(0,), classes=2),
    )

    def eval(self, condition: Array, x: Array, y: Array, *, out: Array) -> None:
        np.copyto(out, y)
        np.copyto(out, x, where=condition != 0)

    def partials(self, condition: Value, x: Value, y: Value, *, out: Value) -> tuple[Partial, ...]:
        if condition.dtype.kind == "b":  # which cannot be subtracted or multiplied
            condition = Cast(out.dtype.name)(condition)
        off = Equal()(condition, 0.0)
        return None, 1.0 - off, off


@register
class OneHot(Constant):
    """``out[..., k] = [labels[...] = k]``; labels are integers in [0, classes), which is not checked here."""

    classes: int
    dtype: str = "float64"
    samples: ClassVar = (Sample(((4,),), {"classes": 3}, labels=(0,)),)

    def shape(self, *x: Spec) -> Spec:
        (labels,) = x
        if labels.dtype.kind not in "iu":
            raise ShapeError(self, "labels must be integers", labels=labels)
        return Spec((*labels.shape, self.classes), np.dtype(self.dtype))

    def eval(self, labels: Array, *, out: Array) -> None:
        np.equal(labels[..., None], np.arange(self.classes), out=out)
