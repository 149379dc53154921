"""Sparsity patterns: their names, and products and sums against those of matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli import autodiff as ad
from backprop_cli.accumulation.local_jacobian import LocalJacobian, Structure, dense
from backprop_cli.accumulation.op_jacobians import local_jacobians

x, column, row = ad.input_("x", (3, 4)), ad.input_("column", (4, 2)), ad.input_("row", (1, 4))
vector, number, weight = ad.input_("vector", (4,)), ad.input_("number", ()), ad.input_("weight", (4, 5))


@pytest.mark.parametrize(
    ("value", "operand", "kind", "nonzeros"),
    [
        (ad.tanh(x), 0, "diagonal", 12),
        (x + x, 0, "identity", 12),
        (-x, 0, "diagonal", 12),
        (number - x, 1, "diagonal", 12),
        (number - x, 0, "broadcast", 12),
        (x + vector, 1, "broadcast", 12),
        (x * vector, 1, "block diagonal", 12),
        (x * number, 1, "dense", 12),
        (x + number, 1, "broadcast", 12),
        (x.T, 0, "permutation", 12),
        (ad.reshape(x, (2, 6)), 0, "identity", 12),
        (ad.slice_(x, 0, 1, 2), 0, "selection", 4),
        (ad.concat([x, row]), 1, "selection", 4),
        (ad.broadcast_to(vector, (3, 4)), 0, "broadcast", 12),
        (ad.sum(x, 1), 0, "sum", 12),
        (ad.sum(x), 0, "sum", 12),
        (ad.amax(x, 1), 0, "block diagonal", 12),
        (row @ weight, 0, "dense", 20),
        (row @ weight, 1, "block diagonal", 20),
        (x @ column, 0, "block diagonal", 24),
        (x @ column, 1, "block diagonal", 24),
        (ad.sum(number), 0, "identity", 1),
        (ad.tanh(number), 0, "diagonal", 1),
    ],
    ids=str,
)
def test_what_local_jacobians_are_called(value, operand, kind, nonzeros):
    local = local_jacobians(value.op, value.inputs, value)[operand]
    assert (local.kind, local.nonzeros) == (kind, nonzeros)


def test_what_has_no_derivative():
    for value in (ad.sign(x), ad.stop_gradient(x), ad.one_hot(ad.input_("labels", (3,), np.int64), 4)):
        assert local_jacobians(value.op, value.inputs, value) == (None,)


patterns = st.tuples(st.integers(1, 7), st.integers(1, 40), st.integers(1, 7), st.integers(0, 2**16))


def random_pattern(rows, columns, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.random((rows, columns)) < rng.choice([0.05, 0.5, 1.0])
    reads = np.where(matrix, np.arange(columns), -1)
    return matrix.astype(int), Structure.of(LocalJacobian(reads, False, columns))


def array(structure):
    return np.array([[row >> c & 1 for c in range(structure.columns)] for row in structure.rows])


@given(patterns)
def test_what_is_thin_and_what_is_diagonal(sizes):
    rows, columns, _, seed = sizes
    matrix, _ = random_pattern(rows, columns, seed)
    local = LocalJacobian(np.where(matrix > 0, np.arange(columns), -1), False, columns)
    assert local.is_thin == (matrix.sum(0).max() <= 1 or matrix.sum(1).max() <= 1)
    assert local.nonzeros == matrix.sum()
    assert LocalJacobian(np.arange(rows)[:, None], False, rows).is_diagonal
    assert not LocalJacobian(np.arange(rows)[:, None], False, rows + 1).is_diagonal
    assert rows == 1 or not LocalJacobian(np.arange(rows)[::-1, None], False, rows).is_diagonal


@given(patterns)
def test_products_and_sums(sizes):
    rows, between, columns, seed = sizes
    a, outer = random_pattern(rows, between, seed)
    b, inner = random_pattern(between, columns, seed + 1)
    c, other = random_pattern(rows, between, seed + 2)
    np.testing.assert_array_equal(array(outer), a)
    np.testing.assert_array_equal(outer.per_row, a.sum(1))
    np.testing.assert_array_equal(outer.per_column, a.sum(0))
    assert outer.nonzeros == a.sum()
    assert outer.terms(inner) == outer.multiplications(inner) == (a @ b).sum()
    np.testing.assert_array_equal(array(outer.product(inner)), a @ b > 0)
    np.testing.assert_array_equal(array(outer.sum(other)), a | c)


def test_what_takes_no_multiplication():
    swap = Structure.of(LocalJacobian(np.array([[1], [0]]), True, 2))
    total = Structure.of(LocalJacobian(np.array([[0, 1]]), True, 2))
    repeat = Structure.of(LocalJacobian(np.array([[0], [0]]), True, 1))
    full = Structure.of(dense(2, 2))
    assert [full.multiplications(s) for s in (swap, repeat, full)] == [0, 0, 8]
    assert swap.is_permutation
    assert not total.is_permutation
    # One each stays one; two added up are 2.
    assert swap.product(swap).is_unit
    assert not total.product(repeat).is_unit
    assert not swap.sum(swap).is_unit
    assert not swap.product(full).is_unit
