"""Bins of a piecewise-linear layer, fitted on data."""

import numpy as np
import pytest
from nn_support import build

from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.layers._shared.bin_edges import quantile_edges, tree_edges


def _fitted(settings, x, targets):
    layer = build(LAYERS, {"type": "piecewise_linear", **settings})
    count = layer.count + 1
    return layer.fit(np.random.default_rng(0), {"edges": np.empty((x.shape[1], count))}, targets, x)["edges"]


def test_edges_are_quantiles():
    column = np.random.default_rng(0).normal(size=1000)
    np.testing.assert_array_equal(quantile_edges(column, 4), np.quantile(column, [0, 0.25, 0.5, 0.75, 1]))


def test_fewer_bins_repeat_the_edge_before_the_last():
    x = np.array([[0.0, 5.0, 1.0], [1.0, 5.0, 1.0], [2.0, 5.0, 2.0], [7.0, 5.0, 2.0]])
    edges = _fitted({"count": 4}, x, np.zeros(4))
    np.testing.assert_array_equal(edges[0], [0, 0.75, 1.5, 3.25, 7])
    np.testing.assert_array_equal(edges[1], [5, 5, 5, 5, 5])  # constant: no bin has a width
    np.testing.assert_array_equal(edges[2], [1, 1.5, 1.5, 1.5, 2])


def test_a_column_of_two_values_has_two_bins():
    x = np.array([[0.0]] * 9 + [[1.0]] * 9)
    np.testing.assert_array_equal(_fitted({"count": 5, "bins": "tree"}, x, np.zeros(18)), [[0, 0.5, 0.5, 0.5, 0.5, 1]])


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_a_tree_finds_the_steps_of_the_target(kind):
    rng = np.random.default_rng(0)
    column = rng.uniform(0, 10, 4000)
    steps = np.searchsorted([2.0, 5.0, 9.0], column)
    targets = np.array([0.0, 3.0, 1.0, 8.0])[steps, None] if kind == "numbers" else np.array([0, 2, 1, 2])[steps]
    edges = tree_edges(column, targets, 4)
    np.testing.assert_allclose(edges, [column.min(), 2, 5, 9, column.max()], atol=10 / 256)


def test_a_tree_stops_where_nothing_is_left_to_explain():
    column = np.arange(200.0)
    np.testing.assert_array_equal(tree_edges(column, (column > 100).astype(np.int64), 48), [0, 100.5, 199])


def test_a_tree_of_few_values_splits_between_them():
    column = np.repeat([1.0, 2.0, 4.0], 100)
    np.testing.assert_array_equal(tree_edges(column, column[:, None] ** 2, 48), [1, 1.5, 3, 4])
