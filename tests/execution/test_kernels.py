"""Fast ways to run an op give the bits of its ``eval``, also at the sizes where they take another way."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.autodiff.evaluate import compute
from backprop_cli.autodiff.op import OPS
from backprop_cli.autodiff.ops.comparison import OneHot, Where
from backprop_cli.autodiff.ops.convolution import Convolution
from backprop_cli.autodiff.ops.pooling import MaxPool, MaxPoolOffset, WindowPut, WindowSpread, WindowSum, WindowTake
from backprop_cli.autodiff.ops.reduction import Amax, Sum
from backprop_cli.autodiff.ops.rows import SumRows, TakeRows
from backprop_cli.autodiff.ops.softmax import Softmax
from backprop_cli.execution import kernels

CASES = [
    (ad.add, (40, 3), (3,)),
    (ad.add, (1, 300), (4, 1)),
    (ad.multiply, (500, 3), (3,)),
    (ad.greater, (32, 16), (16,)),
    (ad.relu, (50,)),
    (ad.softplus, (50,)),
    (ad.erf, (50,)),
    (Where(), (3, 4), (4,), ()),
    (ad.matmul, (33, 65), (65, 17)),
    (ad.matmul, (1, 65), (65, 17)),
    (ad.matmul, (33, 65), (65, 1)),
    (ad.matmul, (5, 3, 4), (4, 2)),
    (Sum((0,)), (5_000, 3)),
    (Sum((0,)), (70_001, 1)),
    (Sum((0, 1)), (300, 400)),
    (Sum((1,)), (300, 40)),
    (Sum((1, 2), keepdims=True), (5, 30, 7)),
    (Sum((0, 2)), (3_000, 4, 5)),
    (Sum((0, 1, 3)), (30, 50, 4, 5)),
    (Sum((1,)), (5, 30, 7)),
    (Sum(()), (5, 3)),
    (Amax((1,)), (64, 10)),
    (Amax((1,)), (64, 100)),
    (Amax((0,), keepdims=True), (64, 10)),
    (Softmax(), (700, 300)),
    (Softmax(), (3_000, 10)),
    (Softmax(), (2, 3, 50)),
    (Softmax(causal=True), (40, 50, 50)),
    (Softmax(causal=True), (2, 700, 700)),
    (WindowSum(1, 3, 2, 1, 1), (4, 9, 3)),
    (WindowSum(1, 3, 1), (4, 9, 3)),
    (WindowSpread(1, 2, 2, size=9), (4, 4, 3)),
    (WindowSpread(1, 3, 1, size=9), (4, 7, 3)),
    (MaxPool(0, 3, 2, 1, 1), (9, 4)),
    (MaxPool(0, 2, 2), (9, 4)),
    (MaxPoolOffset(0, 3, 2, 1, 1), (9, 4)),
    (MaxPoolOffset(0, 2, 2), (8, 4)),
    (Convolution((2, 1), (1, 2), ((2, 1), (0, 1)), 2), (9, 4, 8, 5), (6, 2, 3, 2)),
    (Convolution(), (30, 16, 40, 64), (8, 16, 3, 3)),
]


def bits(op, arrays):
    """Of ``eval``, and of the kernel over memory full of NaN."""
    specs = [ad.spec_of(array) for array in arrays]
    spec = op.shape(*specs)
    out = np.full(spec.shape, np.nan, spec.dtype)
    scratch = tuple(np.full(s.shape, np.nan if s.is_inexact else 1, s.dtype) for s in kernels.scratch(op, *specs))
    kernels.bind(op, *arrays, out=out, scratch=scratch)()
    return compute(op, arrays), out


@pytest.mark.parametrize(("op", "shapes"), [(op, shapes) for op, *shapes in CASES], ids=str)
def test_the_bits_of_eval(op, shapes):
    for dtype in ("float32", "float64"):
        rng = np.random.default_rng(0)
        eager, fast = bits(op, [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes])
        np.testing.assert_array_equal(fast, eager, err_msg=dtype)


@pytest.mark.parametrize("count", [5, 50_000])
def test_the_bits_of_rows(count):
    rng = np.random.default_rng(0)
    rows, values = rng.integers(0, 5, 300), rng.standard_normal((300, 4))
    for op, arrays in (
        (SumRows(count), [values, rows]),
        (TakeRows(), [values, rows]),
        (OneHot(5), [rows]),
        (OneHot(300), [rows]),
    ):
        eager, fast = bits(op, arrays)
        np.testing.assert_array_equal(fast, eager)


@pytest.mark.parametrize("integers", [True, False])
def test_the_bits_of_windows_chosen_by_offsets(integers):
    rng = np.random.default_rng(0)
    for kernel, stride in ((2, 2), (3, 2)):
        x = rng.standard_normal((4, 9, 3))
        windows = WindowSum(1, kernel, stride).shape(ad.spec_of(x)).shape
        offsets = rng.integers(0, kernel, windows)
        offsets = offsets if integers else offsets.astype(float)
        for op, arrays in (
            (WindowTake(1, kernel, stride), [offsets, x]),
            (WindowPut(1, kernel, stride, size=9), [offsets, rng.standard_normal(windows)]),
        ):
            eager, fast = bits(op, arrays)
            np.testing.assert_array_equal(fast, eager)


def test_scratch_is_for_a_kernel_of_the_same_type():
    """Scratch without a ``bind`` that takes it would be lost."""
    default = kernels.bind.dispatch(ad.Op)
    for name, cls in OPS.items():
        if kernels.scratch.dispatch(cls) is not kernels.scratch.dispatch(ad.Op):
            assert kernels.bind.dispatch(cls) is not default, name
