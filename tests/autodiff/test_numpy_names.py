"""Values under NumPy's names: the same expression on arrays and on values, or one sentence that says what to write."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError, UsageError

X, V, S = np.arange(12.0).reshape(3, 4) - 5.0, np.array([1.0, -2.0, 3.0, 0.5]), np.array(1.5)
MASK = X > 0


def values():
    return ad.input_("x", (3, 4)), ad.input_("v", (4,)), ad.input_("s", ())


INDICES = (
    *(lambda x, v, s: x[0], lambda x, v, s: x[-1], lambda x, v, s: x[1, -2], lambda x, v, s: x[:, 1]),
    *(lambda x, v, s: x[1:], lambda x, v, s: x[:-1, 1:3], lambda x, v, s: x[2:1], lambda x, v, s: x[-9:9]),
    *(lambda x, v, s: x[...], lambda x, v, s: x[..., -1], lambda x, v, s: x[None], lambda x, v, s: x[:, None, 2:]),
    *(lambda x, v, s: x[::2], lambda x, v, s: x[::-1], lambda x, v, s: x[:, ::-2], lambda x, v, s: v[3:0:-1]),
    *(lambda x, v, s: x[[0, 2]], lambda x, v, s: x[:, [0, -1, 1]], lambda x, v, s: x[np.array([[0, 1], [2, 2]])]),
    *(lambda x, v, s: x[[]], lambda x, v, s: x[None, [1]], lambda x, v, s: s[()], lambda x, v, s: s[None]),
)
OPERATORS = (
    *(lambda x, v, s: abs(x), lambda x, v, s: +x, lambda x, v, s: x**2, lambda x, v, s: 2**x),
    *(lambda x, v, s: x > 0, lambda x, v, s: x >= v, lambda x, v, s: x < 0, lambda x, v, s: x <= 0.5),
    *(lambda x, v, s: x == X[0], lambda x, v, s: x != 2, lambda x, v, s: np.equal(X, x), lambda x, v, s: X[0] != x),
    *(lambda x, v, s: x > 0, lambda x, v, s: x < X, lambda x, v, s: x >= X),
    *(lambda x, v, s: x @ v, lambda x, v, s: v @ x.T, lambda x, v, s: v @ v, lambda x, v, s: x.T @ x),
    *(lambda x, v, s: X @ v, lambda x, v, s: x @ V, lambda x, v, s: x[None] @ v),
    *(lambda x, v, s: X * x, lambda x, v, s: X - x, lambda x, v, s: X / (abs(x) + 1), lambda x, v, s: x + X),
    *(lambda x, v, s: np.float64(2.0) * x, lambda x, v, s: np.float32(2.0) - x, lambda x, v, s: S * x),
)
METHODS = (
    *(lambda x, v, s: x.sum(), lambda x, v, s: x.sum(axis=0), lambda x, v, s: x.sum(-1, keepdims=True)),
    *(lambda x, v, s: x.mean(), lambda x, v, s: x.mean(axis=(0, 1)), lambda x, v, s: x.max(1)),
    *(lambda x, v, s: x.min(), lambda x, v, s: x.min(axis=0, keepdims=True)),
    *(lambda x, v, s: x.reshape(4, 3), lambda x, v, s: x.reshape((2, -1)), lambda x, v, s: x.reshape(-1)),
    *(lambda x, v, s: x.T, lambda x, v, s: x.transpose(), lambda x, v, s: x.transpose(1, 0)),
    *(lambda x, v, s: x.transpose((0, 1)), lambda x, v, s: x.astype(np.float32)),
    *(lambda x, v, s: x.ravel(), lambda x, v, s: x.flatten(), lambda x, v, s: x.copy(), lambda x, v, s: x.clip(-1, 1)),
    *(lambda x, v, s: x.std(0), lambda x, v, s: x.var(ddof=1), lambda x, v, s: x.clip(None, 2)),
    *(lambda x, v, s: x.dot(v), lambda x, v, s: v.dot(v), lambda x, v, s: s.dot(v), lambda x, v, s: x.dot(X.T)),
    *(lambda x, v, s: list(x)[1], lambda x, v, s: sum(v), lambda x, v, s: len(x) * s),
)
UFUNCS = (
    *(lambda x, v, s: np.sin(x), lambda x, v, s: np.exp(v), lambda x, v, s: np.square(x), lambda x, v, s: np.tan(x)),
    *(lambda x, v, s: np.maximum(x, 0), lambda x, v, s: np.minimum(X, x), lambda x, v, s: np.power(x, 3)),
    *(lambda x, v, s: np.add(X, x), lambda x, v, s: np.divide(1, x), lambda x, v, s: np.matmul(X, v)),
    *(lambda x, v, s: np.equal(x, 1), lambda x, v, s: np.not_equal(X, x), lambda x, v, s: np.less_equal(x, V)),
    *(lambda x, v, s: np.log2(abs(x)), lambda x, v, s: np.log10(abs(x)), lambda x, v, s: np.exp2(x)),
    *(lambda x, v, s: np.logaddexp(x, 0.0), lambda x, v, s: np.reciprocal(v), lambda x, v, s: np.fabs(x)),
)
FUNCTIONS = (
    *(lambda x, v, s: np.sum(x), lambda x, v, s: np.sum(x, axis=1), lambda x, v, s: np.mean(x, 0)),
    *(lambda x, v, s: np.var(x, axis=1), lambda x, v, s: np.std(x), lambda x, v, s: np.max(x)),
    *(lambda x, v, s: np.min(x, 0), lambda x, v, s: np.amax(x), lambda x, v, s: np.amin(x)),
    *(lambda x, v, s: np.concatenate([x, X]), lambda x, v, s: np.concatenate([X, x], axis=-1)),
    *(lambda x, v, s: np.stack([v, V]), lambda x, v, s: np.stack([s, 1.0]), lambda x, v, s: np.stack([v, v], -1)),
    *(lambda x, v, s: np.where(x > 0, x, 0), lambda x, v, s: np.where(MASK, x, X), lambda x, v, s: np.dot(X, v)),
    *(lambda x, v, s: np.clip(x, -1, 1), lambda x, v, s: np.clip(x, None, 1), lambda x, v, s: np.clip(x, V, None)),
    *(lambda x, v, s: np.outer(v, V), lambda x, v, s: np.outer([1.0, 2.0], x), lambda x, v, s: np.linalg.norm(x)),
    *(lambda x, v, s: np.reshape(x, (4, 3)), lambda x, v, s: np.reshape(x, -1), lambda x, v, s: np.transpose(x)),
    *(
        lambda x, v, s: np.transpose(x, (-1, 0)),
        lambda x, v, s: np.std(x, ddof=1),
        lambda x, v, s: np.var(x, 0, ddof=2),
    ),
    *(lambda x, v, s: np.stack([v, v], -2), lambda x, v, s: np.reshape(x, np.int64(12))),
    *(lambda x, v, s: np.ravel(x), lambda x, v, s: np.squeeze(x[None]), lambda x, v, s: np.expand_dims(x, -1)),
    *(lambda x, v, s: np.broadcast_to(v, (2, 4)), lambda x, v, s: np.zeros_like(x), lambda x, v, s: np.ones_like(v)),
    *(lambda x, v, s: np.shape(x) + (np.ndim(x), np.size(x)) * s,),
)


def test_values_do_what_arrays_do():
    with np.errstate(divide="ignore"):
        for k, function in enumerate((*INDICES, *OPERATORS, *METHODS, *UFUNCS, *FUNCTIONS)):
            inputs = values()
            wanted = np.asarray(function(X, V, S))
            (got,) = ad.evaluate([function(*inputs)], dict(zip(inputs, (X, V, S), strict=True)))
            place = f"expression {k}, line {function.__code__.co_firstlineno}"
            assert got.shape == wanted.shape, place
            np.testing.assert_allclose(got, wanted, rtol=1e-13, err_msg=place)


def test_what_is_indexed_has_derivatives():
    for function in INDICES:
        inputs = values()
        out = function(*inputs)
        weights = np.random.default_rng(0).standard_normal(out.shape)
        gradient = ad.evaluate(ad.gradients((out * weights).sum(), inputs), dict(zip(inputs, (X, V, S), strict=True)))
        picked = [np.zeros(12), np.zeros(4), np.zeros(1)]
        places = (np.arange(12).reshape(3, 4), np.arange(4), np.array(0))
        which = 2 if "s[" in _source(function) else 1 if "v[" in _source(function) else 0
        np.add.at(picked[which], function(*places), weights)
        for got, wanted in zip(gradient, picked, strict=True):
            np.testing.assert_array_equal(got.ravel(), wanted)


def _source(function):
    return "".join(f"{name}[" for name in ("v", "s") if name in _read(function))


def _read(function):
    """Names of the arguments that a lambda reads."""
    import dis

    return {i.argval for i in dis.get_instructions(function) if i.opname.startswith("LOAD_FAST")}


def test_traced_integers_are_an_index():
    x, labels = ad.input_("x", (3, 2)), ad.input_("labels", (4,), np.int64)
    rows = np.array([2, 0, 0, 1])
    (got,) = ad.evaluate([x[labels]], {x: X[:, :2], labels: rows})
    np.testing.assert_array_equal(got, X[:, :2][rows])


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8])
def test_traced_integers_count_from_the_end(dtype):
    long = np.arange(400.0)
    for rows in ([0, 5], [[1, 1]], [-1, -3]) if dtype != np.uint8 else ([0, 255],):
        rows = np.array(rows, dtype)
        gradient = ad.grad(lambda x, rows: np.sum(x[rows] * 2.0))(long, rows)
        wanted = np.zeros(400)
        np.add.at(wanted, rows, 2.0)
        np.testing.assert_array_equal(gradient, wanted)
        assert ad.value_and_grad(lambda x, rows: np.sum(x[rows]))(long, rows)[0] == long[rows].sum()


def test_traced_integers_outside_their_axis():
    first = ad.grad(lambda x, rows: x[rows][0])
    for row, place in ((4, 4), (-5, -1)):
        with pytest.raises(ShapeError) as caught:
            first(V, np.array([row]))
        assert str(caught.value) == f"sum_rows(count=4): row {place} is outside of [0, 4)"
    with pytest.raises(ShapeError) as caught:
        ad.value_and_grad(lambda x, rows: x[rows][0])(V, np.array([4]))
    assert str(caught.value) == "take_rows: row 4 is outside of [0, 4)"


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int32, np.uint32, np.int64])
def test_reductions_of_integers_do_not_overflow(dtype):
    top = 1 if dtype is np.bool_ else np.iinfo(dtype).max
    array = np.array([[top, 0, top], [top, top // 2, -top - 1 if np.issubdtype(dtype, np.signedinteger) else 0]], dtype)
    if dtype is np.int64:  # whose sum overflows in NumPy too
        array[:, 2] = 0
        array[1, 0] = 1
    n = ad.input_("n", array.shape, dtype)
    functions = (np.sum, np.mean, np.var, np.max, np.min, lambda n: np.sum(n, axis=1), lambda n: n.min(axis=0))
    got = ad.evaluate([function(n) for function in functions], {n: array})
    for function, result in zip(functions, got, strict=True):
        wanted = function(array)
        np.testing.assert_allclose(result, wanted, rtol=1e-13)
        assert result.dtype == wanted.dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masks_choose(dtype):
    x, mask = V.astype(dtype), V > 0
    for f in (
        lambda x, mask: np.sum(np.where(mask, x**2, 0.0)),
        lambda x, _: np.sum(np.where(V > 0, x, 0.0) * x),
        lambda x, mask: np.sum(mask * x * x),
    ):
        slope = ad.grad(f)(x, mask)
        assert slope.dtype == dtype
        np.testing.assert_allclose(slope, 2 * x * mask)
        np.testing.assert_allclose(ad.hvp(f)(x, mask, np.ones(4, dtype)), 2.0 * mask)


def test_numbers_do_not_become_booleans():
    mask = ad.input_("mask", (4,), np.bool_)
    results = ad.evaluate([1 - mask, mask + 1, mask * 2.0, mask == 1, mask == True], {mask: V > 0})  # noqa: E712
    for got, wanted in zip(results, (V <= 0, (V > 0) + 1, (V > 0) * 2.0, V > 0, V > 0), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_ops_without_results_in_integers():
    n = ad.input_("n", (2,), np.int64)
    for name, out in (("sin", np.sin(n)), ("divide", n / 2), ("power(exponent=2.0)", n**2)):
        with pytest.raises(ShapeError) as caught:
            ad.evaluate([out], {n: np.array([1, 2])})
        assert str(caught.value) == f"{name}: has no result in int64: write x.astype(float) (given out: i8[2])"


def test_arithmetic_of_arrays_with_values_makes_one_op():
    x, _, _ = values()
    assert [str((array * x).op) for array in (X, S, np.float64(2.0), np.float32(2.0), 2)] == ["multiply"] * 5
    product = X * x
    assert product.inputs[0].array is X
    assert product.inputs[1] is x


def test_numbers_take_the_dtype_of_values():
    x = ad.input_("x", (2,), np.float32)
    for out in (2**x, x**2, np.maximum(x, 0), np.float64(2.0) * x, np.stack([x[0], 1.0]), x > 0, np.where(x > 0, x, 0)):
        assert out.dtype == np.float32


def test_values_are_keys_by_identity():
    x, y, _ = values()
    assert x in {x}
    assert x not in {y: 1}
    assert x in [x, y]
    assert x != None  # noqa: E711
    assert x != "x"
    assert (x == y) is not (x == y)


def test_logaddexp_at_extremes_and_ties():
    for x in (-np.inf, -800.0, 0.0, 1e-20, 800.0, np.inf, np.nan):
        for y in (-np.inf, -40.0, 0.0, 800.0, np.inf, np.nan):
            (got,) = ad.evaluate([np.logaddexp(ad.constant(x), y)], {})
            with np.errstate(invalid="ignore"):
                wanted = np.logaddexp(x, y)
            np.testing.assert_allclose(got, wanted, rtol=1e-15)
    assert ad.grad(np.logaddexp, (0, 1))(2.0, 2.0) == (0.5, 0.5)
    assert ad.grad(ad.grad(np.logaddexp))(2.0, 2.0) == 0.25


def test_arrays_alone():
    np.testing.assert_array_equal(ad.evaluate([ad.stack([V, V])], {})[0], np.stack([V, V]))
    np.testing.assert_array_equal(ad.evaluate([ad.product(X, V)], {})[0], X @ V)
    np.testing.assert_allclose(ad.evaluate([ad.logsumexp(ad.constant(X), None)], {})[0], np.log(np.exp(X).sum()))


def test_equality_of_elements_chooses():
    largest = ad.grad(lambda x: np.sum(np.where(x == x.max(), x, 0.0)))
    assert largest(V).tolist() == [0.0, 0.0, 1.0, 0.0]
    assert ad.grad(lambda x: np.sum(x * (x != x.max())))(V).tolist() == [1.0, 1.0, 0.0, 1.0]
    assert ad.grad(lambda x: np.sum(x * (x == list(V)) * (x != (1.0, 0.0, 0.0, 0.0))))(V).tolist() == [
        0.0,
        1.0,
        1.0,
        1.0,
    ]
    assert ad.grad(lambda x: np.sum(np.where(x != x, 0.0, x)))(np.array([np.nan, 2.0])).tolist() == [0.0, 1.0]
    with pytest.raises(UsageError, match="neither true nor false"):
        ad.grad(lambda x: x[0] if x[0] == x[1] else x[1])(V)


TRUTH = (
    "a traced value is neither true nor false before its program runs: "
    "write ad.where(condition, a, b) in place of `if`, `and` and `or`"
)
NUMBER = (
    "a traced value is not a number until its program runs: "
    "use functions of ad or NumPy in place of float() and math, and Python integers for sizes and indices"
)
ARRAY = (
    "a traced value is not an array until its program runs: "
    "ad.evaluate computes its array, and np.stack joins values to one value; "
    "a list of numbers is as many arguments: pass np.array([...])"
)
NO_OP = (
    "there is no op for //, %, &, |, ^ and ~: comparisons are 0 and 1, so `a * b` is `a & b` and `1 - a` is `~a`; "
    "whole numbers are computed before tracing"
)
PAIRS = "values and {}s are lists of values: write [ad.constant(array)]; of a function take ad.grad"
REFUSED = (
    (lambda x, v, s: bool(x), TRUTH),
    (lambda x, v, s: 1 if s > 0 else 0, TRUTH),
    (lambda x, v, s: 0 < s < 1, TRUTH),
    (lambda x, v, s: not x, TRUTH),
    (lambda x, v, s: float(s), NUMBER),
    (lambda x, v, s: range(s), NUMBER),
    (lambda x, v, s: np.asarray(x), ARRAY),
    (lambda x, v, s: np.array([s, s]), ARRAY),
    (lambda x, v, s: x // 2, NO_OP),
    (lambda x, v, s: 7 % x, NO_OP),
    (lambda x, v, s: (x > 0) & (x < 1), NO_OP),
    (lambda x, v, s: ~x, NO_OP),
    (lambda x, v, s: 1 if s == 0 else 0, TRUTH),
    (lambda x, v, s: 1 if s != 0 else 0, TRUTH),
    (lambda x, v, s: x in [v], TRUTH),
    (lambda x, v, s: 3 in x, "`in` is not traced: ad.amax(ad.equal(x, element)) is 1 if x has the element, else 0"),
    (
        lambda x, v, s: x.__setitem__(0, 1),
        "`x[...] = y` is not traced: choose elements with ad.where, or join parts with ad.concat",
    ),
    (lambda x, v, s: x + None, "None is no number and no array of numbers"),
    (lambda x, v, s: np.maximum("2", x), "'2' is no number and no array of numbers"),
    (lambda x, v, s: x * np.array(["a"]), "['a'] is no number and no array of numbers"),
    (
        lambda x, v, s: x**v,
        "x ** y needs a number for y; for x > 0 write exp(y * log(x)); "
        "a float argument is traced: pass an integer, or close over the number",
    ),
    (lambda x, v, s: x[V], "an array of indices has integers, not float64: write array.astype(int)"),
    (
        lambda x, v, s: (-2) ** x,
        "x ** y of a traced y needs a positive number for x; for an array write exp(y * np.log(x))",
    ),
    (lambda x, v, s: x[x > 0], "a mask selects no elements of a traced value: write ad.where(mask, x, 0)"),
    (lambda x, v, s: x[X > 0], "a mask selects no elements of a traced value: write ad.where(mask, x, 0)"),
    (
        lambda x, v, s: x["a"],
        "'a' cannot index a traced value: use integers, slices, None, `...` or an array",
    ),
    (
        lambda x, v, s: x[[0], [1]],
        "an index has at most one array of integers: x[np.arange(n), labels] is (ad.one_hot(labels, k) * x).sum(1)",
    ),
    (
        lambda x, v, s: x[0, [1]],
        "an array of integers can be combined with slices only: index in two steps, x[k][array]",
    ),
    (lambda x, v, s: x.reshape(2.0, 6), "a shape has integers; got (2.0, 6)"),
    (lambda x, v, s: np.broadcast_to(x, (2, 3, 4.0)), "a shape has integers; got (2, 3, 4.0)"),
    (lambda x, v, s: np.sum(x, axis=0.0), "an axis is an integer; got 0.0"),
    (lambda x, v, s: ad.stack([]), "at least one value is needed to join"),
    (lambda x, v, s: np.add(x, x, out=X), "np.add of a traced value takes no `out`: write y = np.add(...)"),
    (
        lambda x, v, s: np.sum(x, dtype=float),
        "np.sum of a traced value takes (a, axis, keepdims): got an unexpected keyword argument 'dtype'",
    ),
    (lambda x, v, s: ad.gradients(x.sum(), x), "derivatives are with respect to a list of values: write [x]"),
    (lambda x, v, s: ad.jvp(np.sin, (1.0,), (1.0,)), PAIRS.format("tangent")),
    (lambda x, v, s: ad.jvp([x], [x], [X]), PAIRS.format("tangent")),
    (lambda x, v, s: ad.vjp([x], [x], [X]), PAIRS.format("cotangent")),
    (lambda x, v, s: ad.jvp([x], [x], []), "each value has one tangent: got 1 values and 0 tangents"),
    (lambda x, v, s: ad.toposort(x), "expected a list of values, not a single value: write [x]"),
    (lambda x, v, s: ad.Program(x, x), 'a program needs names for its values: Program({"x": x}, {"out": out})'),
    (
        lambda x, v, s: ad.evaluate(ad.Program({"x": x}, {"out": x}), {x: X}),
        "evaluate takes values: evaluate([out], {x: array}); execution.Plan runs a Program",
    ),
    (lambda x, v, s: ad.evaluate([x], {"x": X}), "arrays are fed by value, not by name: evaluate([out], {x: array})"),
)


@pytest.mark.parametrize(("expression", "message"), REFUSED)
def test_what_a_value_cannot_do_says_what_to_write(expression, message):
    with pytest.raises(UsageError) as caught:
        expression(*values())
    assert str(caught.value) == message


def test_a_name_that_cannot_be_traced_lists_those_that_can():
    calls = {"arctan": np.arctan, "cumsum": np.cumsum, "add.reduce": np.add.reduce, "linalg.inv": np.linalg.inv}
    for name, call in calls.items():
        with pytest.raises(UsageError) as caught:
            call(values()[0])
        assert str(caught.value).startswith(f"np.{name} cannot be traced; these can: absolute, add, amax")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (lambda x, s: x[3], "<x f8[3,4]>: index 3 is outside axis 0 of size 3 (given x: f8[3,4])"),
        (lambda x, s: x[:, [0, -5]], "<x f8[3,4]>: index -5 is outside axis 1 of size 4 (given x: f8[3,4])"),
        (lambda x, s: x[0, 0, 0], "<x f8[3,4]>: 3 indices for 2 axes (given x: f8[3,4])"),
        (lambda x, s: x[..., ...], "<x f8[3,4]>: an index has at most one `...` (given x: f8[3,4])"),
        (lambda x, s: np.expand_dims(x, 5), "axis: 5 is outside of the result's 3 axes (given x: f8[3,4])"),
        (lambda x, s: np.stack([x, x], axis=-4), "axis: -4 is outside of the result's 3 axes (given x: f8[3,4])"),
        (lambda x, s: np.var(x, 0, ddof=3), "variance: 3 elements are too few for ddof=3 (given x: f8[3,4])"),
        (lambda x, s: len(s), "<s f8[]>: a scalar has no length and no elements to iterate over"),
        (lambda x, s: list(s), "<s f8[]>: a scalar has no length and no elements to iterate over"),
        (lambda x, s: x @ s, "matmul: needs matrices (given x: f8[3,4], y: f8[])"),
        (
            lambda x, s: x[None].dot(x),
            "dot: takes vectors and matrices; write x @ y for stacks of matrices (given x: f8[1,3,4], y: f8[3,4])",
        ),
    ],
)
def test_shapes_that_do_not_fit(expression, message):
    x, _, s = values()
    with pytest.raises(ShapeError) as caught:
        expression(x, s)
    assert str(caught.value) == message
