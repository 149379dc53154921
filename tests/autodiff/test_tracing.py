"""Derivatives of plain functions: what they are, when the function runs, what is refused."""

from collections import namedtuple

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError, UsageError

X = np.array([0.5, -1.0, 2.0])


def loss(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


def cubes(x):
    return np.sum(x**3)


def test_gradient_of_a_function_of_numbers():
    slope = ad.grad(lambda x: x**2)(3.0)
    assert isinstance(slope, np.ndarray)
    assert (slope, slope.dtype) == (6.0, np.float64)
    assert ad.grad(lambda x: x**2)(3) == 6.0


def test_gradient_of_arrays():
    np.testing.assert_allclose(ad.grad(cubes)(X), 3 * X**2)
    value, slope = ad.value_and_grad(cubes)(X)
    assert value == cubes(X)
    np.testing.assert_allclose(slope, 3 * X**2)


def test_argnums_choose_the_arguments():
    w, x = np.ones((3, 2)), np.arange(6.0).reshape(2, 3) / 10
    by_w, by_x = ad.grad(loss, argnums=(0, 1))(w, x)
    np.testing.assert_array_equal(by_w, ad.grad(loss)(w, x))
    np.testing.assert_array_equal(by_x, ad.grad(loss, argnums=1)(w, x))
    np.testing.assert_array_equal(by_x, ad.grad(loss, argnums=-1)(w, x))
    assert (by_w.shape, by_x.shape) == (w.shape, x.shape)


Pair = namedtuple("Pair", "left right")


def test_parameters_in_lists_and_dicts():
    params = {"layers": [{"w": X, "b": 1.0}], "scale": (2.0,), "pair": Pair(X, 3)}

    def f(params, bias=0.0):
        first = params["layers"][0]
        return np.sum(first["w"] ** 2) * first["b"] * params["scale"][0] + np.sum(params["pair"].left) + bias

    slope = ad.grad(f)(params, bias=1.0)
    np.testing.assert_allclose(slope["layers"][0]["w"], 4 * X)
    assert slope["layers"][0]["b"] == 2 * np.sum(X**2)
    assert slope["scale"] == (np.sum(X**2),)
    assert isinstance(slope["pair"], Pair)
    assert slope["pair"].right == 0.0


def test_jacobian_has_the_shapes_of_result_and_argument():
    x = np.arange(6.0).reshape(2, 3)
    matrix = ad.jacobian(lambda x: x.T)(x)
    assert matrix.shape == (3, 2, 2, 3)
    np.testing.assert_array_equal(matrix.reshape(6, 6), np.eye(6).reshape(2, 3, 6).transpose(1, 0, 2).reshape(6, 6))
    np.testing.assert_array_equal(ad.jacobian(lambda x: np.sin(x))(X), np.diag(np.cos(X)))
    np.testing.assert_array_equal(ad.jacobian(lambda x: np.sum(x))(X), np.ones(3))
    assert ad.jacobian(lambda x: x[:0])(X).shape == (0, 3)


def test_hessian_vector_product_is_the_hessian_times_the_vector():
    v = np.array([1.0, 0.0, -2.0])
    np.testing.assert_allclose(ad.hvp(cubes)(X, v), 6 * X * v)
    hessian = ad.jacobian(ad.grad(cubes))(X)
    np.testing.assert_allclose(hessian, np.diag(6 * X))
    np.testing.assert_allclose(ad.hvp(loss, argnums=1)(X, np.outer(X, X), np.eye(3)).shape, (3, 3))
    np.testing.assert_allclose(ad.hvp(cubes)(X.astype(np.float32), v), 6 * X * v, rtol=1e-6)
    pairs = ad.hvp(lambda pair: pair[0] ** 2 * pair[1])((2.0, 3.0), (1, 0))
    assert pairs == (6.0, 4.0)


def test_derivatives_of_derivatives():
    f = np.sin
    for k in range(1, 5):
        f = ad.grad(f)
        np.testing.assert_allclose(f(0.3), np.sin(0.3 + k * np.pi / 2), rtol=1e-14)
    assert ad.grad(lambda x: ad.grad(lambda y: y**3)(x) * x)(2.0) == 36.0
    assert ad.grad(lambda x: ad.value_and_grad(lambda y: y**2)(x)[0])(3.0) == 6.0
    np.testing.assert_allclose(ad.grad(lambda x: np.sum(ad.hvp(cubes)(x, X)))(X), 6 * X)


def test_perturbations_are_kept_apart():
    """The inner derivative is by y alone, also where y is called with x and where it closes over x."""
    assert ad.grad(lambda x: x * ad.grad(lambda y: x * y)(x))(3.0) == 6.0
    assert ad.grad(lambda x: x * ad.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert ad.grad(lambda x: ad.grad(lambda y: x**2 * y)(5))(3.0) == 6.0


def test_a_function_is_traced_once_for_the_same_specs_and_numbers_that_count():
    traced = []

    def f(x, n, kind="sum"):
        traced.append((x.shape, x.dtype, n))
        for _ in range(n):
            x = np.sin(x)
        return x.sum() if kind == "sum" else x.max()

    slope = ad.grad(f)
    first = slope(X, 2)
    np.testing.assert_allclose(first, np.cos(np.sin(X)) * np.cos(X))
    assert slope(2 * X, 2)[0] != first[0]
    assert len(traced) == 1
    slope(X, 3)
    slope(X[:2], 2)
    slope(X.astype(np.float32), 2)
    slope(X, 2, kind="max")
    slope(X, n=2)
    assert len(traced) == 6
    assert [slope(X, n=2).tolist(), len(traced)] == [first.tolist(), 6]


def test_what_a_function_read_does_not_change():
    weights = np.array([1.0, 2.0, 3.0])
    slope = ad.grad(lambda x: np.sum(x * weights))
    first = slope(X)
    weights[:] = 9.0
    assert slope(X).tolist() == first.tolist() == [1.0, 2.0, 3.0]


def test_integers_of_numpy_count_too():
    slope = ad.grad(lambda x, n, flag: np.sum(x**n) if flag else np.sum(x))
    assert slope(X, np.int64(2), np.bool_(True)).tolist() == (2 * X).tolist()
    assert slope(X, np.int64(2), np.bool_(False)).tolist() == [1.0, 1.0, 1.0]


def test_control_flow_on_values_is_refused_and_on_numbers_is_unrolled():
    def f(x):
        return x if x > 0 else -x

    with pytest.raises(UsageError, match="neither true nor false before its program runs"):
        ad.grad(f)(1.0)
    assert ad.grad(lambda x: np.where(x > 0, x, -x))(-1.0) == -1.0


def test_results_are_arrays_of_their_own():
    x = X.copy()
    by_x, by_y = ad.grad(lambda x, y: np.sum(x * y), argnums=(0, 1))(x, x)
    by_x[:] = 0.0
    by_y[:] = 0.0
    ad.grad(lambda x: np.sum(x))(x)[:] = 0.0
    np.testing.assert_array_equal(x, X)


def test_numbers_take_the_precision_of_arrays():
    x = X.astype(np.float32)
    value, slope = ad.value_and_grad(lambda x, scale: np.sum(x * scale))(x, 0.5)
    assert (value.dtype, slope.dtype) == (np.float32, np.float32)
    assert ad.grad(lambda scale, x: np.sum(x * scale))(2, x).dtype == np.float32


def test_a_constant_function_has_gradient_zero():
    assert ad.grad(lambda x: 3)(X).tolist() == [0.0, 0.0, 0.0]


def test_traced_by_hand():
    x = ad.input_("x", (3,))
    (got,) = ad.evaluate([ad.grad(cubes)(x * 2.0)], {x: X})
    np.testing.assert_allclose(got, 3 * (2 * X) ** 2)


def test_the_name_says_what_it_is():
    assert ad.grad(loss).__name__ == "grad(loss)"
    assert ad.hvp(np.sin).__name__ == "hvp(sin)"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: ad.grad(np.sin)(X),
            ShapeError,
            "sin: only a scalar has a gradient; use jacobian for an array (given out: f8[3])",
        ),
        (
            lambda: ad.grad(cubes)(np.arange(3)),
            ShapeError,
            "argument: integers have no derivative; pass x.astype(float) (given x: i8[3])",
        ),
        (
            lambda: ad.grad(lambda x: np.sum(x.astype(int)))(X),
            ShapeError,
            "<lambda>: returns integers, which have no derivative (given out: i8[])",
        ),
        (
            lambda: ad.grad(lambda x: (x, x))(1.0),
            UsageError,
            "<lambda> must return one array, not a tuple; np.stack joins arrays",
        ),
        (lambda: ad.grad(cubes)("abc"), UsageError, "cannot differentiate by 'abc', which is not a number"),
        (
            lambda: ad.grad(cubes, argnums=1)(X),
            UsageError,
            "grad: no argument 1 to differentiate by; positional arguments, from 0: 1",
        ),
        (
            lambda: ad.grad(cubes)(X * 1j),
            UsageError,
            "grad: arguments are real arrays and numbers; got an array of complex128",
        ),
        (lambda: ad.grad(loss)(X, {1}), UsageError, "grad: arguments are arrays and numbers; got a set"),
        (
            lambda: ad.hvp(cubes)(X, [X]),
            UsageError,
            "hvp: the vector must have the form of argument 0, *; got [*]",
        ),
        (
            lambda: ad.hvp(cubes)(X),
            UsageError,
            "hvp: argument 0 and, as the last argument, the vector are needed",
        ),
        (
            lambda: ad.hvp(cubes)(X, X[:2]),
            ShapeError,
            "<x0 f8[3]>: tangent of another spec (given value: f8[3], tangent: f8[2])",
        ),
    ],
)
def test_what_is_refused(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message
