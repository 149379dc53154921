"""Sums of many terms: what one op makes of several, with the same numbers."""

import numpy as np
import pytest

from backprop_cli import autodiff as ad
from backprop_cli.autodiff.ops.pieces import Pad
from backprop_cli.execution.passes import simplified


def ops(*outputs):
    """The ops that simplified outputs need, in order, views aside."""
    nodes = [node for node in ad.toposort(simplified(outputs)) if node.op is not None]
    return [node.op.kind for node in nodes if not node.op.is_view]


def assert_same(*outputs):
    rng = np.random.default_rng(0)
    feed = {value: rng.normal(size=value.shape) for value in ad.toposort(outputs) if value.is_input}
    for found, expected in zip(ad.evaluate(simplified(outputs), feed), ad.evaluate(outputs, feed), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def matrices(name, *shapes):
    return [ad.exp(ad.input_(f"{name}{place}", shape)) for place, shape in enumerate(shapes)]


def total(terms):
    out = terms[0]
    for term in terms[1:]:
        out = out + term
    return out


def test_products_of_rows_are_one_product():
    x, y = matrices("x", (5, 3), (2, 3), (4, 3)), matrices("y", (5, 2), (2, 2), (4, 2))
    out = total([a.T @ b for a, b in zip(x, y, strict=True)])
    assert ops(out) == ["exp"] * 6 + ["concat", "concat", "matmul"]
    assert_same(out)


def test_products_of_columns_stay():
    x, y = matrices("x", (3, 5), (3, 2)), matrices("y", (5, 2), (2, 2))
    out = total([a @ b for a, b in zip(x, y, strict=True)])
    assert ops(out).count("matmul") == 2
    assert_same(out)


def test_a_product_that_others_read_is_not_made_twice():
    x, y = matrices("x", (5, 3), (2, 3), (4, 3)), matrices("y", (5, 2), (2, 2), (4, 2))
    terms = [a.T @ b for a, b in zip(x, y, strict=True)]
    assert ops(total(terms), ad.exp(terms[0])).count("matmul") == 2
    assert_same(total(terms), ad.exp(terms[0]))


def test_other_terms_are_added():
    x, y = matrices("x", (5, 3), (2, 3)), matrices("y", (5, 2), (2, 2))
    other = ad.exp(ad.input_("z", (3, 2)))
    out = (x[0].T @ y[0] + other) + (x[1].T @ y[1] + 2.0)
    assert ops(out).count("matmul") == 1
    assert_same(out)


def test_layers_are_not_mixed():
    x, y = matrices("x", (5, 3), (2, 3)), matrices("y", (5, 2), (2, 2))
    terms = []
    for layer, a, b in zip(("dense_1", "dense_2"), x, y, strict=True):
        with ad.in_layer(layer):
            terms.append(a.T @ b)
    assert ops(total(terms)).count("matmul") == 2


def test_sums_of_rows_are_one_sum():
    x = matrices("x", (5, 3), (2, 3), (4, 3))
    out = total([ad.sum(a, 0) for a in x])
    assert ops(out) == ["exp"] * 3 + ["concat", "sum"]
    assert_same(out)


def test_sums_of_columns_stay():
    out = total([ad.sum(a, 1) for a in matrices("x", (5, 3), (5, 2))])
    assert ops(out).count("sum") == 2
    assert_same(out)


@pytest.mark.parametrize(
    ("places", "joined"),
    [
        ([(0, 2), (2, 3), (5, 1)], 3),
        ([(5, 1), (0, 2), (2, 3)], 3),  # in the order of their places
        ([(1, 2), (4, 1)], 5),  # zeros before, between and behind
        ([(0, 2), (3, 3)], 3),
    ],
)
def test_pieces_at_different_places_are_joined(places, joined):
    pieces = matrices("x", *((2, size) for _, size in places))
    out = total([Pad(1, start, 6 - start - size)(x) for (start, size), x in zip(places, pieces, strict=True)])
    (found,) = simplified([out])
    assert (found.op.kind, len(found.inputs)) == ("concat", joined)
    assert_same(out)


def test_pieces_that_overlap_are_added():
    x, y = matrices("x", (3,), (2,))
    out = Pad(0, 0, 1)(x) + Pad(0, 2, 0)(y)
    assert ops(out) == ["exp", "exp", "pad", "pad", "add"]
    assert_same(out)


def test_a_concatenation_inside_another_is_a_slice():
    a, b, c, d = matrices("x", (2, 3), (1, 3), (4, 3), (2, 3))
    whole, part = ad.concat([a, b, c, d]), ad.concat([b, c])
    assert ops(whole, ad.tanh(part)) == ["exp"] * 4 + ["concat", "tanh"]
    assert ops(whole, ad.tanh(ad.concat([c, b]))).count("concat") == 2
    assert ops(whole, ad.tanh(ad.concat([b, d]))).count("concat") == 2
    assert_same(whole, ad.tanh(part))


def test_products_follow_the_order_of_a_concatenation():
    """Where the rows of all products are joined already, only the other operands are joined."""
    x, y = matrices("x", (2, 3), (2, 3), (2, 3)), matrices("y", (2, 4), (2, 4), (2, 4))
    out = total([a.T @ b for a, b in zip(reversed(x), reversed(y), strict=True)])
    for joined in (x, y):
        assert ops(out, ad.concat(joined)).count("concat") == 2
        assert_same(out, ad.concat(joined))


@pytest.mark.parametrize("product_first", [False, True])
def test_gradients_of_a_loop_are_one_product_and_one_concatenation(product_first):
    """Whichever operand of a step is made first: of what steps read, and of what they add to it."""
    steps, x, w, state = 200, ad.input_("x", (400, 3)), ad.input_("w", (3, 3)), ad.input_("h", (2, 3))
    for step in range(steps):
        makers = [lambda state=state: state @ w, lambda step=step: ad.slice_(x, 0, 2 * step, 2 * step + 2)]
        made = [make() for make in (makers if product_first else reversed(makers))]
        state = ad.tanh(made[0] + made[1])
    found = ops(*ad.gradients(ad.sum(state), [x, w]))
    assert (found.count("pad"), found.count("concat"), found.count("matmul")) == (0, 2, 2 * steps)
