"""Convolutions in blocks: whatever fits in the buffer, the numbers are the same, and the buffer stays small."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.autodiff.ops import im2col
from backprop_cli.autodiff.ops.convolution import Convolution, ConvolutionTranspose, ConvolutionWeight
from backprop_cli.errors import ShapeError
from backprop_cli.execution import kernels

CASES = [
    ((7, 4, 9, 2), (6, 2, 3, 2), {"padding": ((1, 2), (1, 0)), "stride": (1, 2), "groups": 2}),
    ((8, 3, 6, 3), (2, 3, 2, 3), {"dilation": (2, 1), "stride": (2, 1)}),
    ((9, 2, 8, 1), (4, 2, 1, 1), {}),
    ((9, 2, 8, 2), (3, 2, 3, 1), {}),
    ((6, 2, 7, 2), (3, 2, 3, 3), {"stride": (3, 2), "padding": ((0, 1), (2, 2))}),
]


def _three(shape, weight, fields):
    """A convolution and both transposes, with arrays of whole numbers: no order of sums rounds."""
    rng = np.random.default_rng(0)
    convolution = Convolution(**fields)
    out = convolution.shape(*(ad.Spec(s, np.dtype("float64")) for s in (shape, weight))).shape
    x, w, y = (rng.integers(-4, 5, s).astype(float) for s in (shape, weight, out))
    yield convolution, (x, w)
    yield convolution.of(ConvolutionTranspose, size=(shape[0], shape[2])), (y, w)
    yield convolution.of(ConvolutionWeight, kernel=weight[2:]), (x, y)


def _value(op, arrays):
    inputs = [ad.input_(f"x{k}", array.shape) for k, array in enumerate(arrays)]
    return ad.evaluate([op(*inputs)], dict(zip(inputs, arrays, strict=True)))[0]


@pytest.mark.parametrize("limit", [1, 20, 60, 200])
@pytest.mark.parametrize(("shape", "weight", "fields"), CASES)
def test_blocks_of_any_size_give_the_same_numbers(shape, weight, fields, limit, monkeypatch):
    for op, arrays in _three(shape, weight, fields):
        wanted = _value(op, arrays)
        monkeypatch.setattr(im2col, "LIMIT", limit)
        np.testing.assert_array_equal(_value(op, arrays), wanted, err_msg=str(op))
        monkeypatch.undo()


@pytest.mark.parametrize(("shape", "weight", "fields"), CASES)
def test_operands_that_do_not_lie_in_line(shape, weight, fields):
    for op, arrays in _three(shape, weight, fields):
        strided = [np.asfortranarray(array) for array in arrays]
        np.testing.assert_array_equal(_value(op, strided), _value(op, arrays), err_msg=str(op))


@pytest.mark.parametrize("kernel", [3, 7, 15])
@pytest.mark.parametrize(("shape", "axes"), [((64, 16, 64, 32), 2), ((16, 40_000, 8), 1)])
def test_the_buffer_does_not_grow_with_the_kernel(shape, axes, kernel):
    weight = (16, 16, *(kernel,) * axes)
    fields = {"stride": (1,) * axes, "dilation": (1,) * axes, "padding": ((kernel // 2,) * 2,) * axes}
    specs = [ad.Spec(s, np.dtype("float32")) for s in (shape, weight)]
    image, size = ad.Spec(shape, np.dtype("float32")), (*shape[:-3], shape[-2])
    for op, operands in (
        (Convolution(**fields), specs),
        (ConvolutionTranspose(**fields, size=size), specs),
        (ConvolutionWeight(**fields, kernel=weight[2:]), [image, image]),
    ):
        filters, buffer = kernels.scratch(op, *operands)
        assert filters.size <= 2 * specs[1].size
        assert buffer.size <= im2col.LIMIT


def test_nothing_is_buffered_where_rows_are_what_a_product_needs():
    specs = [ad.Spec((8, 3, 5, 2), np.dtype("float32")), ad.Spec((4, 3, 3, 1), np.dtype("float32"))]
    assert kernels.scratch(Convolution(stride=(2, 1)), *specs)[1].size == 0
    assert kernels.scratch(Convolution(padding=((1, 1), (0, 0))), *specs)[1].size > 0


def test_no_examples():
    for op, (x, y) in _three((4, 2, 5, 0), (3, 2, 2, 2), {}):
        specs = [ad.spec_of(x), ad.spec_of(y)]
        assert _value(op, (x, y)).shape == op.shape(*specs).shape
        assert not _value(op, (x, y)).any()


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (
            Convolution(),
            ((4, 2, 5), (3, 2, 2, 2)),
            "convolution(stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=1): "
            "needs arrays of 4 axes (given x: f8[4,2,5], weight: f8[3,2,2,2])",
        ),
        (
            Convolution(groups=2),
            ((4, 4, 5, 1), (3, 2, 2, 2)),
            "convolution(stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=2): "
            "4 channels and 3 filters in 2 groups (given x: f8[4,4,5,1], weight: f8[3,2,2,2])",
        ),
        (
            Convolution(),
            ((4, 2, 1, 1), (3, 2, 2, 2)),
            "convolution(stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=1): "
            "the kernel is larger than the padded array (given x: f8[4,2,1,1], weight: f8[3,2,2,2])",
        ),
        (
            Convolution(),
            ((4, 2, 5, 1), (3, 2, 0, 2)),
            "convolution(stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=1): "
            "nothing to convolve (given x: f8[4,2,5,1], weight: f8[3,2,0,2])",
        ),
        (
            ConvolutionTranspose(size=(4, 4)),
            ((2, 3, 3, 1), (3, 2, 2, 2)),
            "convolution_transpose(stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=1, size=(4, 4)): "
            "a convolution of [4, 2, 4, 1] does not have the shape of x (given x: f8[2,3,3,1], weight: f8[3,2,2,2])",
        ),
        (
            ConvolutionWeight(kernel=(2, 2)),
            ((4, 2, 4, 1), (2, 3, 3, 1)),
            "convolution_weight(stride=(1, 1), dilation=(1, 1), padding=((0, 0), (0, 0)), groups=1, kernel=(2, 2)): "
            "a convolution with [3, 2, 2, 2] does not have the shape of y (given x: f8[4,2,4,1], y: f8[2,3,3,1])",
        ),
    ],
)
def test_shapes_that_do_not_fit(op, shapes, message):
    with pytest.raises(ShapeError) as error:
        op(*(ad.input_(f"x{k}", shape) for k, shape in enumerate(shapes)))
    assert str(error.value) == message
