"""Transforms as walks: what they are with respect to, in which order, and what they refuse."""

import numpy as np
import pytest
from numeric_derivatives import adjoint_gap, central_difference, numeric_gradient
from op_checks import jacobian

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError


@pytest.fixture
def x():
    return ad.input_("x", (3,))


POINT = np.array([0.5, -1.0, 2.0])


def at(outputs, feed):
    return [array.tolist() for array in ad.evaluate(outputs, feed)]


def test_jacobian_of_a_product(x):
    matrix = np.arange(6.0).reshape(2, 3)
    out = ad.reshape(ad.constant(matrix) @ ad.reshape(x, (3, 1)), (2,))
    assert at(jacobian(out, [x]), {x: POINT}) == [matrix.tolist()]


def test_jacobian_of_a_scalar_is_its_gradient(x):
    out = ad.sum(ad.square(x))
    assert at(jacobian(out, [x]), {x: POINT}) == at(ad.gradients(out, [x]), {x: POINT}) == [[1.0, -2.0, 4.0]]


def test_jacobian_of_nothing(x):
    out = ad.slice_(x, 0, 1, 1)
    (matrix,) = ad.evaluate(jacobian(out, [x]), {x: POINT})
    assert matrix.shape == (0, 3)


def test_hessian_is_the_jacobian_of_the_gradient(x):
    out = ad.sum(ad.power(x, 3.0))
    (hessian,) = ad.evaluate(jacobian(ad.gradients(out, [x])[0], [x]), {x: POINT})
    np.testing.assert_allclose(hessian, np.diag(6.0 * POINT))


def test_third_derivative(x):
    out = ad.sum(ad.sin(x))
    for _ in range(3):
        (gradient,) = ad.gradients(out, [x])
        out = ad.sum(gradient)
    (value,) = ad.evaluate([gradient], {x: POINT})
    np.testing.assert_allclose(value, -np.cos(POINT), rtol=1e-14)


def test_independent_values_have_zeros(x):
    other = ad.input_("other", (2, 2), np.float32)
    out = ad.sum(x)
    (zero,) = ad.evaluate(ad.gradients(out, [other]), {})
    assert zero.dtype == np.float32
    assert zero.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert at(ad.jvp([out], [other], [ad.constant(np.ones((2, 2), np.float32))]), {}) == [0.0]
    assert at(jacobian(x, [other]), {x: POINT}) == [np.zeros((3, 2, 2)).tolist()]


def test_output_is_one_of_wrt(x):
    scalar = ad.input_("s", ())
    assert at(ad.gradients(scalar, [scalar, x]), {}) == [1.0, [0.0, 0.0, 0.0]]


def test_output_given_twice(x):
    out = ad.square(x)
    ones = ad.constant(np.ones(3))
    assert at(ad.vjp([out, out], [x], [ones, 2.0 * ones]), {x: POINT}) == [[3.0, -6.0, 12.0]]


def test_intermediate_value(x):
    """With respect to a value inside the program; it can be fed instead of the input that it is computed from."""
    inner = ad.exp(x)
    out = ad.sum(ad.square(inner))
    assert at(ad.gradients(out, [inner]), {inner: POINT}) == [[1.0, -2.0, 4.0]]
    assert at(ad.jvp([out], [inner], [ad.constant(np.ones(3))]), {inner: POINT}) == [3.0]
    assert at(ad.hessian_products(out, [inner], [ad.constant(POINT)]), {inner: POINT}) == [[1.0, -2.0, 4.0]]


def test_value_and_what_is_made_of_it(x):
    """The derivative by x counts what x does through y; that by y is of a perturbation added to y."""
    y = ad.square(x)
    out = ad.sum(x * y)
    assert at(ad.gradients(out, [x, y]), {x: POINT}) == [(3.0 * POINT**2).tolist(), POINT.tolist()]
    ones = ad.constant(np.ones(3))
    assert at(ad.jvp([out], [x, y], [ones, ones]), {x: POINT}) == [float(np.sum(3.0 * POINT**2 + POINT))]
    assert adjoint_gap([out, y], [x, y], {x: POINT}, np.random.default_rng(0)) < 1e-14


def test_same_value_twice(x):
    out = ad.sum(ad.square(x))
    assert at(ad.gradients(out, [x, x]), {x: POINT}) == [[1.0, -2.0, 4.0]] * 2
    assert adjoint_gap([out], [x, x], {x: POINT}, np.random.default_rng(0)) < 1e-14


def test_value_used_many_times_gets_the_sum(x):
    out = ad.sum(x * x + x * 2.0 + x)
    assert at(ad.gradients(out, [x]), {x: POINT}) == [(2.0 * POINT + 3.0).tolist()]


def test_gradient_of_a_batch_is_the_mean_of_its_examples(x):
    rng = np.random.default_rng(0)
    batch, weights = rng.standard_normal((5, 3)), rng.standard_normal((3, 2))
    w = ad.input_("w", (3, 2))

    def gradient(rows):
        loss = ad.mean(ad.sum(ad.square(ad.tanh(ad.constant(rows) @ w)), 1))
        return ad.evaluate(ad.gradients(loss, [w]), {w: weights})[0]

    np.testing.assert_allclose(gradient(batch), np.mean([gradient(row[None]) for row in batch], axis=0), rtol=1e-13)


def test_same_program_twice_is_the_same_program(x):
    """Nothing depends on the order of a set or of memory addresses."""

    def text():
        w = ad.input_("w", (3, 3))
        v = ad.input_("v", (1, 3))
        h = ad.tanh(v @ w) + v
        gradients = ad.gradients(ad.sum(h * h @ w.T), [v, w])
        return str(ad.Program({"w": w, "v": v}, {"dv": gradients[0], "dw": gradients[1]}))

    assert text() == text()


def test_layers_of_derivatives(x):
    with ad.in_layer("dense_1"):
        out = ad.sum(ad.square(x))
    outside = out * 2.0
    made = [
        node for node in ad.toposort(ad.gradients(outside, [x])) if node.op is not None and node.index > outside.index
    ]
    assert {str(node.op).split("(")[0]: node.layer for node in made if node.layer} == {
        "broadcast_to": "dense_1",
        "multiply": "dense_1",
    }


def test_integers_have_no_derivative(x):
    labels = ad.input_("labels", (3,), np.int64)
    loss = ad.sum(ad.one_hot(labels, 3) @ ad.reshape(x, (3, 1)))
    feed = {x: POINT, labels: np.array([2, 0, 2])}
    assert at(ad.gradients(loss, [x]), feed) == [[1.0, 0.0, 2.0]]
    for transform in (
        lambda: ad.gradients(loss, [labels]),
        lambda: ad.jvp([loss], [labels], [labels]),
        lambda: jacobian(x, [labels]),
    ):
        with pytest.raises(ShapeError) as caught:
            transform()
        assert str(caught.value) == "<labels i8[3]>: integers have no derivative (given wrt: i8[3])"


def test_cast_to_an_integer_ends_the_derivative(x):
    out = ad.sum(ad.cast(ad.cast(x, np.int64), np.float64) * x)
    assert at(ad.gradients(out, [x]), {x: POINT}) == [[0.0, -1.0, 2.0]]
    assert at(ad.jvp([out], [x], [ad.constant(np.ones(3))]), {x: POINT}) == [1.0]


def test_precision_is_converted_back():
    x = ad.input_("x", (3,), np.float32)
    out = ad.sum(ad.square(ad.cast(x, np.float64)))
    (gradient,) = ad.evaluate(ad.gradients(out, [x]), {x: POINT.astype(np.float32)})
    assert gradient.dtype == np.float32
    assert gradient.tolist() == [1.0, -2.0, 4.0]


def test_central_difference_takes_the_step_that_is_taken():
    assert abs(central_difference(np.exp, 1.0) - np.e) < 1e-9
    assert central_difference(lambda at: at, 0.1) == 1.0
    assert central_difference(lambda at: at, 1e9 / 3) == 1.0


def test_numeric_gradient_restores_its_argument():
    x = np.arange(6.0).reshape(2, 3)
    slopes = numeric_gradient(lambda a: float(np.sum(a**2)), x, indexes=[5, 0])
    np.testing.assert_allclose(slopes, [10.0, 0.0], atol=1e-9)
    np.testing.assert_array_equal(x, np.arange(6.0).reshape(2, 3))


def test_numeric_gradient_needs_contiguous_memory():
    with pytest.raises(ValueError, match="numeric_gradient needs a contiguous array"):
        numeric_gradient(lambda a: 0.0, np.zeros((4, 4))[:, :3])
