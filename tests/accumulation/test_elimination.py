"""Elimination on graphs: worked examples, all orders of small graphs, and what must hold for every graph."""

import time
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.accumulation.edge_elimination import best_edge_order
from backprop_cli.accumulation.elimination import Graph, ScalarElimination, best_order, elimination_cost, twins
from backprop_cli.accumulation.orders import (
    Order,
    annealed,
    exhaustive,
    forward_order,
    markowitz,
    order_cost,
    reverse_order,
    ungrouped,
)
from backprop_cli.errors import UsageError

# Vertices in the order of evaluation, the inputs first.
GRAPHS = {
    # z = x y, w = sin z; out w + z, log w
    "simple": Graph([[], [], [0, 1], [2], [2, 3], [3]], [4, 5]),
    # Inputs nu, gamma, omega, t: a = omega t, z = tan a, b = nu z, d = gamma - z, y1 = b / d, y2 = gamma y1
    "lighthouse": Graph([[], [], [], [], [2, 3], [4], [0, 5], [1, 5], [6, 7], [1, 8]], [8, 9]),
    # The same with tan(omega t) written twice
    "lighthouse twice": Graph([[], [], [], [], [2, 3], [4], [2, 3], [6], [0, 5], [1, 7], [8, 9], [1, 10]], [10, 11]),
    # Inputs x, y, z, w: a = y z, b = a + x, c = a + w, d = cos b, e = exp c; out d - e, d / e, d e
    "hole": Graph([[], [], [], [], [1, 2], [0, 4], [3, 4], [5], [6], [7, 8], [7, 8], [7, 8]], [9, 10, 11]),
    "speelpenning": Graph([[], [], [], [], [], [0, 1], [2, 5], [3, 6], [4, 7]], [8]),
    "naumann": Graph([[], [], [0, 1], [2], [2, 3], [4], [4]], [5, 6]),
    "toy": Graph([[], [], [0, 1], [2], [0, 3], [4], [1, 4]], [5, 6]),
    "lion": Graph([[], [], [0, 1], [2], [3], [3], [3], [2, 3]], [4, 5, 6, 7]),
    "bat": Graph([[], [], [], [], [0, 1], [2, 3], [4, 5], [4, 6], [6], [6], [5, 6]], [7, 8, 9, 10]),
}
COSTS = {  # forward, reverse, Markowitz with ties to the first and the last, best vertex order
    "simple": (8, 6, 6, 6, 6),
    "lighthouse": (16, 16, 12, 16, 11),
    "lighthouse twice": (18, 22, 20, 20, 14),
    "hole": (28, 24, 26, 26, 22),
    "speelpenning": (9, 6, 7, 6, 6),
    "naumann": (10, 10, 7, 7, 7),
    "toy": (8, 10, 7, 7, 7),
    "lion": (12, 12, 12, 12, 12),
    "bat": (24, 24, 24, 24, 24),
}
every_graph = pytest.mark.parametrize("name", GRAPHS)


@every_graph
def test_worked_examples(name):
    graph = GRAPHS[name]
    start = ScalarElimination.of(graph)
    orders = [forward_order(start), reverse_order(start), markowitz(start, ties="first"), markowitz(start)]
    best = best_order(graph)
    assert (*(elimination_cost(graph, order) for order in orders), best.cost) == COSTS[name]
    assert elimination_cost(graph, best.order) == best.cost
    assert best.proved_optimal


@every_graph
def test_worked_examples_against_all_orders(name):
    start = ScalarElimination.of(GRAPHS[name])
    assert min(order_cost(start, order) for order in permutations(start.vertices)) == COSTS[name][-1]


@pytest.mark.parametrize(
    ("name", "cost"), [("lion", 11), ("bat", 23), ("naumann", 7), ("toy", 7), ("simple", 6), ("lighthouse", 11)]
)
def test_edge_elimination(name, cost):
    best = best_edge_order(GRAPHS[name])
    assert (best.cost, best.proved_optimal) == (cost, True)
    jacobian, counted = by_edges(GRAPHS[name], best.order, labels(GRAPHS[name]))
    assert counted == cost
    np.testing.assert_allclose(jacobian, bauer(GRAPHS[name], labels(GRAPHS[name])), rtol=1e-12, atol=1e-12)


def test_where_the_search_of_edges_ends_early_the_vertex_order_stands():
    best = best_edge_order(GRAPHS["bat"], most_states=10)
    assert (best.cost, best.proved_optimal) == (24, False)
    jacobian, counted = by_edges(GRAPHS["bat"], best.order, labels(GRAPHS["bat"]))
    assert counted == 24
    np.testing.assert_allclose(jacobian, bauer(GRAPHS["bat"], labels(GRAPHS["bat"])), rtol=1e-12, atol=1e-12)


def labels(graph, seed=0):
    """A number an edge."""
    rng = np.random.default_rng(seed)
    return {(i, j): rng.uniform(0.5, 2.0) for j, before in enumerate(graph[0]) for i in before}


def ends(graph):
    return [j for j, before in enumerate(graph[0]) if not before], list(graph[1])


def bauer(graph, label):
    """Outputs by inputs as the sum over all paths: the geometric series of the matrix of labels."""
    count = len(graph[0])
    matrix = np.zeros((count, count))
    for (i, j), value in label.items():
        matrix[j, i] = value
    inputs, outputs = ends(graph)
    return np.linalg.inv(np.eye(count) - matrix)[np.ix_(outputs, inputs)]


def entries(graph, label):
    inputs, outputs = ends(graph)
    return np.array([[1.0 if i == j else label.get((i, j), 0.0) for i in inputs] for j in outputs])


def by_vertices(graph, order, label):
    """The Jacobian by eliminating vertices one multiplication after the other, and their number."""
    label, counted = dict(label), 0
    for v in order:
        before, after = [i for i, j in label if j == v], [k for j, k in label if j == v]
        for i in before:
            for k in after:
                label[i, k] = label.get((i, k), 0.0) + label[v, k] * label[i, v]
                counted += 1
        dead = [(v, k) for k in after] + ([] if v in graph[1] else [(i, v) for i in before])
        for edge in dead:
            del label[edge]
    return entries(graph, label), counted


def by_edges(graph, order, label):
    """The Jacobian by eliminating edges, and the number of multiplications; nothing is dropped but the edge."""
    label, counted = dict(label), 0
    for kind, i, j in order:
        if kind == "front":
            new = {(i, k): label[j, k] * label[i, j] for a, k in label if a == j}
        else:
            new = {(h, j): label[i, j] * label[h, i] for h, b in label if b == i}
        del label[i, j]
        counted += len(new)
        for edge, value in new.items():
            label[edge] = label.get(edge, 0.0) + value
        reached = {j for _, j in label} | set(ends(graph)[0])
        label = {edge: value for edge, value in label.items() if edge[0] in reached}
        read = {i for i, _ in label} | set(graph[1])
        label = {edge: value for edge, value in label.items() if edge[1] in read}
    return entries(graph, label), counted


@st.composite
def graphs(draw, most=6):
    inputs = draw(st.integers(1, 3))
    count = inputs + draw(st.integers(1, most))
    before = [[] for _ in range(inputs)]
    for j in range(inputs, count):
        before.append(sorted(draw(st.sets(st.integers(0, j - 1), min_size=1, max_size=3))))
    outputs = sorted({count - 1, *draw(st.sets(st.integers(inputs, count - 1), max_size=2))})
    return Graph(before, outputs)


@given(graphs(), st.randoms(use_true_random=False))
def test_any_order_gives_the_jacobian_at_the_cost_it_says(graph, random):
    live = ScalarElimination.of(graph)
    label = {edge: value for edge, value in labels(graph).items() if live.before[edge[1]] >> edge[0] & 1}
    order = live.vertices
    random.shuffle(order)
    jacobian, counted = by_vertices(graph, order, label)
    assert counted == elimination_cost(graph, order)
    np.testing.assert_allclose(jacobian, bauer(graph, labels(graph)), rtol=1e-10, atol=1e-10)


@given(graphs())
def test_the_best_order_is_the_best_of_all(graph):
    start = ScalarElimination.of(graph)
    best = best_order(graph)
    assert best.proved_optimal
    assert best.cost == order_cost(start, best.order)
    assert best.cost == min(order_cost(start, order) for order in permutations(start.vertices))


@given(graphs())
def test_both_exhaustive_searches_agree(graph):
    start, best = ScalarElimination.of(graph), best_order(graph)
    groups = twins(start)
    found = exhaustive(start, groups, best.cost + 1)
    assert found is not None
    assert order_cost(start, ungrouped(found)) == best.cost
    assert not groups or exhaustive(start, groups, best.cost) is None


@given(graphs())
def test_the_graph_turned_around_costs_the_same(graph):
    """Its outputs are inputs then; an output that feeds others has no counterpart."""
    live = ScalarElimination.of(graph)
    if any(live.after[output] for output in graph.outputs):
        return
    last = len(graph.predecessors) - 1
    kept = [[i for i in range(j) if live.before[j] >> i & 1] for j in range(last + 1)]
    turned = [[last - k for k in range(last + 1) if last - j in kept[k]] for j in range(last + 1)]
    inputs = [last - j for j in range(last + 1) if not live.before[j] and live.after[j]]
    assert best_order(Graph(turned, inputs)).cost == best_order(graph).cost


@given(graphs(most=4))
def test_edges_are_never_worse_than_vertices(graph):
    edges, vertices = best_edge_order(graph), best_order(graph)
    assert edges.proved_optimal
    assert edges.cost <= vertices.cost
    live = ScalarElimination.of(graph)
    label = {edge: value for edge, value in labels(graph).items() if live.before[edge[1]] >> edge[0] & 1}
    jacobian, counted = by_edges(graph, edges.order, label)
    assert counted == edges.cost
    np.testing.assert_allclose(jacobian, bauer(graph, labels(graph)), rtol=1e-10, atol=1e-10)


@given(graphs(most=8))
def test_one_output_and_one_input(graph):
    """Reverse mode of one output costs at most an edge each, and so does forward mode of one input."""
    single = Graph(graph.predecessors, graph.outputs[-1:])
    live = ScalarElimination.of(single)
    edges = sum(mask.bit_count() for mask in live.before)
    assert order_cost(live, reverse_order(live)) <= edges
    inputs = sum(not before for before in graph.predecessors)
    if inputs == 1:
        whole = ScalarElimination.of(graph)
        assert order_cost(whole, forward_order(whole)) <= sum(mask.bit_count() for mask in whole.before)


def test_false_twins_are_one_group():
    """Thirty vertices between the same two are one decision, and exactly solved."""
    width = 30
    graph = Graph([[], [0], *([[1]] * width), list(range(2, width + 2)), [width + 2]], [width + 3])
    start = ScalarElimination.of(graph)
    assert sorted(map(len, twins(start))) == [1, 1, width]
    assert best_order(graph) == Order(markowitz(start), width + 2, "markowitz", True)


def large(intermediates, seed=0):
    """A random graph whose vertices read near ones, as programs do."""
    rng = np.random.default_rng(seed)
    inputs, outputs = 10, 8
    count = inputs + intermediates
    before = [[] for _ in range(inputs)]
    for j in range(inputs, count + outputs):
        last = min(j, count)
        before.append(sorted(set(rng.integers(max(0, last - 12), last, 2).tolist())))
    return Graph(before, list(range(count, count + outputs)))


def test_annealing_beats_the_greedy_orders_and_repeats_itself():
    graph = large(50)
    start = ScalarElimination.of(graph)
    greedy = min(
        order_cost(start, order)
        for order in (
            forward_order(start),
            reverse_order(start),
            markowitz(start),
            markowitz(start, discount=start.reach()),
        )
    )
    best = best_order(graph, budget=4000, seed=3)
    assert best == best_order(graph, budget=4000, seed=3)
    assert (best.method, best.proved_optimal) == ("annealing", False)
    assert best.cost == elimination_cost(graph, best.order) < greedy


def test_annealing_finds_the_optimum_of_a_small_graph():
    graph = GRAPHS["hole"]
    start = ScalarElimination.of(graph)
    found = annealed(start, [(vertex,) for vertex in reverse_order(start)], seed=0, budget=500)
    assert order_cost(start, ungrouped(found)) == 22


def test_no_budget_leaves_the_greedy_order():
    assert best_order(large(50), budget=0).method != "annealing"


def test_eighteen_intermediates_take_no_time():
    graph = large(18, seed=2)
    groups = twins(ScalarElimination.of(graph))
    assert 12 <= len(groups) <= 18
    started = time.perf_counter()
    best = best_order(graph)
    assert time.perf_counter() - started < 5.0
    assert best.proved_optimal


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (([[], [2], [0]], [1]), "vertex 1 is computed from 2; a predecessor must come before it"),
        (([[], [0]], [5]), "output 5 is not one of the vertices 0 to 1"),
    ],
)
def test_what_is_no_graph(graph, message):
    with pytest.raises(UsageError) as error:
        best_order(graph)
    assert str(error.value) == message


def test_what_is_no_order():
    with pytest.raises(UsageError) as error:
        elimination_cost(GRAPHS["toy"], [2, 3])
    assert str(error.value) == "an order must have each of the vertices [2, 3, 4] once; got [2, 3]"
