"""Windows: which of equals wins, infinities, NaN, and what is said of shapes that do not fit."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.autodiff.evaluate import compute
from backprop_cli.autodiff.ops.pooling import MaxPool, MaxPoolOffset, WindowPut, WindowSpread, WindowSum, WindowTake
from backprop_cli.errors import ShapeError

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("op", "x", "largest", "offset"),
    [
        (MaxPool(0, 2, 2), [1.0, 1.0, 2.0, 3.0], [1, 3], [0, 1]),
        (MaxPool(0, 3, 3), [5.0, 5.0, 5.0, 1.0, 2.0, 2.0], [5, 2], [0, 1]),
        (MaxPool(0, 3, 1), [0.0, 1.0, 1.0, 0.0], [1, 1], [1, 0]),
        (MaxPool(0, 2, 2), [-INF, -INF, -INF, 0.0], [-INF, 0], [0, 1]),
        (MaxPool(0, 3, 2, 1, 1), [-INF, -INF, -INF, -INF], [-INF, -INF], [1, 0]),
        (MaxPool(0, 3, 2, 1, 1), [-4.0, -5.0, -6.0], [-4, -5], [1, 0]),
        (MaxPool(0, 3, 1, 1, 1), [INF, 1.0, INF], [INF, INF, INF], [1, 0, 1]),
        (MaxPool(0, 3, 1), [1.0, NAN, 2.0, 0.0, 1.0], [NAN, NAN, 2], None),
        (MaxPool(0, 2, 2), [NAN, 1.0, 1.0, NAN], [NAN, NAN], None),
        (MaxPool(0, 2, 3), [1.0, 2.0, 9.0, 4.0, 3.0, 9.0], [2, 4], [1, 0]),
    ],
)
def test_the_first_largest(op, x, largest, offset):
    np.testing.assert_array_equal(compute(op, [np.array(x)]), largest)
    if offset is not None:
        found = compute(MaxPoolOffset(op.axis, op.kernel, op.stride, op.before, op.after), [np.array(x)])
        np.testing.assert_array_equal(found, offset)


def test_of_an_image_the_first_in_row_major_order():
    """PyTorch's choice: the whole cotangent goes to one of equals."""
    rng = np.random.default_rng(0)
    array = rng.integers(0, 2, (5, 1, 6, 6)).astype(float)
    ct = rng.standard_normal((5, 1, 2, 2))
    x = ad.input_("x", array.shape)
    out = ad.max_pool(x, (3, 3), (3, 3), ((0, 0), (0, 0)))
    (found,) = ad.evaluate(ad.gradients(ad.sum(out * ct), [x]), {x: array})
    wanted = np.zeros(array.shape)
    for n, r, q in np.ndindex(5, 2, 2):
        i, j = divmod(int(array[n, 0, 3 * r : 3 * r + 3, 3 * q : 3 * q + 3].argmax()), 3)
        wanted[n, 0, 3 * r + i, 3 * q + j] = ct[n, 0, r, q]
    np.testing.assert_array_equal(found, wanted)


def test_an_offset_on_padding_takes_and_puts_nothing():
    offsets, numbers = np.array([0, 2]), np.array([7.0, 8.0])
    np.testing.assert_array_equal(compute(WindowTake(0, 3, 2, 1, 1), [offsets, np.array([1.0, 2.0, 3.0])]), [0, 0])
    np.testing.assert_array_equal(compute(WindowPut(0, 3, 2, 1, 1, size=3), [offsets, numbers]), [0, 0, 0])


PRINTED = "axis=0, kernel=3, stride=2, before=0, after=0"


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (
            MaxPool(0, 3, 2),
            ((2,),),
            f"max_pool({PRINTED}): the window is larger than the padded array (given x: f8[2])",
        ),
        (MaxPool(0, 3, 2), ((),), f"max_pool({PRINTED}): axis 0 of 0 (given x: f8[])"),
        (
            WindowTake(0, 3, 2),
            ((2,), (3,)),
            f"window_take({PRINTED}): needs an offset a window (given offset: f8[2], x: f8[3])",
        ),
        (
            WindowPut(0, 3, 2, size=5),
            ((2,), (3,)),
            f"window_put({PRINTED}, size=5): needs an offset a window (given offset: f8[2], x: f8[3])",
        ),
        (
            WindowSpread(0, 3, 2, size=5),
            ((3,),),
            f"window_spread({PRINTED}, size=5): an axis of 5 has another number of windows (given x: f8[3])",
        ),
        (
            WindowSum(1, 3, 2),
            ((4,),),
            f"window_sum({PRINTED.replace('axis=0', 'axis=1')}): axis 1 of 1 (given x: f8[4])",
        ),
    ],
)
def test_shapes_that_do_not_fit(op, shapes, message):
    with pytest.raises(ShapeError) as error:
        op(*(ad.input_(f"x{k}", shape) for k, shape in enumerate(shapes)))
    assert str(error.value) == message
