"""What is refused, with the whole message."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError, UsageError


def value(*shape, dtype=np.float64):
    return ad.input_("x", shape, dtype)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: value(32, 10) @ value(9, 4),
            "matmul: 10 columns of x against 9 rows of y (given x: f8[32,10], y: f8[9,4])",
        ),
        (lambda: ad.matmul(value(3), value(3, 4)), "matmul: needs matrices (given x: f8[3], y: f8[3,4])"),
        (
            lambda: value(2, 3, 4) @ value(5, 4, 3),
            "matmul: leading axes do not broadcast (given x: f8[2,3,4], y: f8[5,4,3])",
        ),
        (
            lambda: value(3, 4) + value(3),
            "add: shapes do not broadcast (given operand 0: f8[3,4], operand 1: f8[3])",
        ),
        (
            lambda: value(3) * value(3, dtype=np.float32),
            "multiply: operands of different precision; convert one with cast "
            "(given operand 0: f8[3], operand 1: f4[3])",
        ),
        (
            lambda: value(3, dtype=np.float32) - np.zeros(3),
            "subtract: operands of different precision; convert one with cast "
            "(given operand 0: f4[3], operand 1: f8[3])",
        ),
        (
            lambda: value(3, 4) @ value(4, 2, dtype=np.float32),
            "matmul: operands of different precision; convert one with cast "
            "(given operand 0: f8[3,4], operand 1: f4[4,2])",
        ),
        (
            lambda: ad.reshape(value(3, 4), (5, 2)),
            "reshape(to=(5, 2)): 12 elements do not fit shape [5, 2] (given x: f8[3,4])",
        ),
        (
            lambda: ad.reshape(value(3, 4), (5, -1)),
            "reshape(to=(5, 2)): 12 elements do not fit shape [5, 2] (given x: f8[3,4])",
        ),
        (
            lambda: ad.transpose(value(3, 4), (0, 0)),
            "transpose(perm=(0, 0)): not an order of 2 axes (given x: f8[3,4])",
        ),
        (
            lambda: ad.broadcast_to(value(3, 4), (3, 5)),
            "broadcast_to(to=(3, 5)): does not broadcast to [3, 5] (given x: f8[3,4])",
        ),
        (
            lambda: ad.broadcast_to(value(3, 4), (4,)),
            "broadcast_to(to=(4,)): does not broadcast to [4] (given x: f8[3,4])",
        ),
        (
            lambda: ad.concat([value(2, 3), value(2, 4)], 0),
            "concat(axis=0): shapes differ outside axis 0 (given operand 0: f8[2,3], operand 1: f8[2,4])",
        ),
        (
            lambda: ad.concat([value(2, 3), value(2)], 0),
            "concat(axis=0): shapes differ outside axis 0 (given operand 0: f8[2,3], operand 1: f8[2])",
        ),
        (
            lambda: ad.concat([value(2), value(2, dtype=np.float32)], 0),
            "concat(axis=0): operands of different precision; convert one with cast "
            "(given operand 0: f8[2], operand 1: f4[2])",
        ),
        (lambda: ad.concat([value(2, 3)], 2), "axis: 2 is outside of 2 axes (given x: f8[2,3])"),
        (
            lambda: ad.slice_(value(3, 4), 1, 2, 5),
            "slice(axis=1, start=2, stop=5): outside the array (given x: f8[3,4])",
        ),
        (
            lambda: ad.slice_(value(3, 4), 1, 3, 2),
            "slice(axis=1, start=3, stop=2): outside the array (given x: f8[3,4])",
        ),
        (lambda: ad.sum(value(3, 4), 2), "axis: 2 is outside of 2 axes (given x: f8[3,4])"),
        (lambda: ad.sum(value(3, 4), -3), "axis: -3 is outside of 2 axes (given x: f8[3,4])"),
        (
            lambda: ad.sum(value(3, 4), (1, -1)),
            "sum(axes=(1, 1), keepdims=False): axes must be distinct and in [0, 2) (given x: f8[3,4])",
        ),
        (
            lambda: ad.amax(value(0, 4), 0),
            "amax(axes=(0,), keepdims=False): no largest element of none (given x: f8[0,4])",
        ),
        (lambda: ad.softmax(value()), "axis: -1 is outside of 0 axes (given x: f8[])"),
        (
            lambda: ad.one_hot(value(3), 4),
            "one_hot(classes=4, dtype='float64'): labels must be integers (given labels: f8[3])",
        ),
        (
            lambda: value(3, dtype=np.int64) * 0.5,
            "constant 0.5: is not int64; convert the other operand with cast",
        ),
        (
            lambda: ad.gradients(value(3), [value()]),
            "<x f8[3]>: only a scalar has a gradient; use vjp, or jacobian of a function (given out: f8[3])",
        ),
        (
            lambda: ad.vjp([(x := value(3))], [x], [value(2)]),
            "<x f8[3]>: cotangent of another spec (given value: f8[3], cotangent: f8[2])",
        ),
        (
            lambda: ad.jvp([(x := value(3))], [x], [value(3, dtype=np.float32)]),
            "<x f8[3]>: tangent of another spec (given value: f8[3], tangent: f4[3])",
        ),
    ],
)
def test_shapes_that_do_not_fit(make, message):
    with pytest.raises(ShapeError) as caught:
        make()
    assert str(caught.value) == message


def test_input_that_is_not_fed():
    x, y = ad.input_("x", ()), ad.input_("y", ())
    with pytest.raises(UsageError) as caught:
        ad.evaluate([x + y], {x: np.array(1.0)})
    assert str(caught.value) == "input 'y' is not fed"


@pytest.mark.parametrize(
    ("array", "given"),
    [
        (np.zeros(3, np.float32), "f4[3]"),
        (np.zeros(3, np.int64), "i8[3]"),
        (np.zeros((1, 3)), "f8[1,3]"),
    ],
)
def test_feed_of_another_spec(array, given):
    x = ad.input_("x", (3,))
    with pytest.raises(ShapeError) as caught:
        ad.evaluate([ad.exp(x)], {x: array})
    assert str(caught.value) == f"<x f8[3]>: expected f8[3], got {given}"


def test_python_numbers_take_the_values_dtype():
    x = ad.input_("x", (3,), np.float32)
    labels = ad.input_("labels", (3,), np.int64)
    for out in (2 * x, x / 2, 1.0 - x, np.float64(2.0) * x, np.array(2.0) + x, x**2, -x, ad.maximum(x, 0)):
        assert out.dtype == np.float32
    assert (labels + 1).dtype == np.int64
    assert (labels * 2.0).dtype == np.int64


def test_arrays_on_the_left_leave_it_to_the_value():
    x = ad.input_("x", (2,))
    for out, wanted in (
        (np.array([1.0, 2.0]) + x, [2.0, 4.0]),
        (np.array([1.0, 2.0]) * x, [1.0, 4.0]),
        (np.array([1.0, 2.0]) - x, [0.0, 0.0]),
        (np.array([1.0, 2.0]) / x, [1.0, 1.0]),
    ):
        assert isinstance(out, ad.Value)
        assert ad.evaluate([out], {x: np.array([1.0, 2.0])})[0].tolist() == wanted


def test_shape_with_one_size_left_open():
    assert ad.reshape(value(3, 4), (2, -1)).shape == (2, 6)
    assert ad.reshape(value(0, 4), (4, -1)).shape == (4, 0)


def test_a_number_that_the_precision_cannot_hold_is_infinite_without_a_warning():
    x = ad.input_("x", (2,), np.float32)
    assert ad.evaluate([x * 1e300], {x: np.ones(2, np.float32)})[0].tolist() == [np.inf, np.inf]
