"""Chains of Jacobians: published chains, what must hold for every chain, and trees that are carried out."""

import re
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.accumulation.bracketing import FactorSize, best_bracketing, one_way_costs
from backprop_cli.errors import UsageError

# (rows x columns, edges) from the input side; tangents, adjoints, accumulated first, optimum.
# Random chains of STCE-at-RWTH/Jacobian-Chaining, doi 10.5281/zenodo.15373160, CC BY 4.0.
PUBLISHED = [
    ("44x31,8512 30x44,8381", 523683, 506790, 556222, 506790),
    ("15x47,3732 35x15,4117", 368903, 274715, 142410, 142410),
    ("19x21,6063 14x19,6806 45x14,1466", 301035, 645075, 249821, 210952),
    ("23x8,4027 39x23,3738 34x39,6852 45x34,8743 33x45,9576", 263488, 1086888, 1006332, 263488),
    (
        "21x35,9164 33x21,7687 30x33,7508 30x30,9266 38x30,7854 48x38,2363 21x48,7211 26x21,3269",
        1901270,
        1412372,
        1548325,
        1159872,
    ),
]


def read(text):
    return [FactorSize(*map(int, re.split("[x,]", word))) for word in text.split()]


@pytest.mark.parametrize(("chain", "tangent", "adjoint", "accumulated", "optimum"), PUBLISHED)
def test_published_chains(chain, tangent, adjoint, accumulated, optimum):
    factors = read(chain)
    assert one_way_costs(factors) == (tangent, adjoint)
    alone = sum(edges * min(rows, columns) for rows, columns, edges in factors)
    assert alone + best_bracketing(factors).cost == accumulated
    assert best_bracketing(factors, matrix_free=True).cost == optimum


def test_the_textbook_chain_of_matrices():
    """Cormen et al., Introduction to Algorithms, 15.2: 30x35, 35x15, 15x5, 5x10, 10x20, 20x25 (from the left)."""
    widths = [30, 35, 15, 5, 10, 20, 25]
    factors = [(rows, columns, 0) for rows, columns in pairwise(widths)][::-1]
    best = best_bracketing(factors)
    assert best.cost == 15125
    assert str(best) == "((F6 (F5 F4)) ((F3 F2) F1))"


def test_how_a_tree_prints():
    assert str(best_bracketing(read("19x21,6063 14x19,6806 45x14,1466"), matrix_free=True)) == "F3 >F2< F1"
    assert str(best_bracketing(read("15x47,3732 35x15,4117"), matrix_free=True)) == "(F2 F1)"
    assert str(best_bracketing([(3, 2, 6)])) == "F1"


@st.composite
def chains(draw, most=7, first=None, last=None):
    widths = draw(st.lists(st.integers(1, 12), min_size=2, max_size=most))
    widths[0] = first or widths[0]
    widths[-1] = last or widths[-1]
    return [FactorSize(rows, columns, draw(st.integers(1, 200))) for columns, rows in pairwise(widths)]


def optimum(factors, **how):
    return best_bracketing(factors, matrix_free=True, **how).cost


@given(chains())
def test_never_worse_than_one_way(factors):
    alone = sum(f.edges * min(f.rows, f.columns) for f in factors)
    assert optimum(factors) <= min(*one_way_costs(factors), alone + best_bracketing(factors).cost)


@given(st.one_of(chains(first=1), chains(last=1)))
def test_one_input_or_one_output_costs_one_pass(factors):
    assert optimum(factors) == sum(factor.edges for factor in factors)


@given(chains())
def test_the_transposed_chain_costs_the_same(factors):
    turned = [FactorSize(f.columns, f.rows, f.edges) for f in reversed(factors)]
    assert optimum(turned) == optimum(factors)
    assert best_bracketing(turned).cost == best_bracketing(factors).cost


@given(chains(last=1), chains(first=1))
def test_a_waist_of_one_costs_two_passes_and_a_product(below, above):
    edges = sum(factor.edges for factor in [*below, *above])
    assert edges <= optimum([*below, *above]) <= edges + above[-1].rows * below[0].columns


@given(chains(), st.integers(0, 500))
def test_less_memory_never_costs_less(factors, memory):
    assert optimum(factors, memory=memory) >= optimum(factors, memory=2 * memory) >= optimum(factors)


def test_no_memory_leaves_tangents():
    factors = read("15x47,3732 35x15,4117")
    assert optimum(factors, memory=0) == 47 * 3732 + min(47 * 4117, 15 * 4117 + 35 * 15 * 47)


@dataclass
class Counted:
    """A matrix that counts what is multiplied with it; its edges are its entries."""

    array: np.ndarray
    mode: str
    counts: list = field(default_factory=list)

    def matrix(self):
        rows, columns = self.array.shape
        self.counts.append(0 if self.mode == "given" else self.array.size * min(rows, columns))
        return self.array

    def tangent(self, inner):
        self.counts.append(self.array.size * inner.shape[1])
        return self.array @ inner

    def adjoint(self, outer):
        self.counts.append(self.array.size * outer.shape[0])
        return outer @ self.array

    def product(self, outer, inner):
        self.counts.append(outer.shape[0] * outer.shape[1] * inner.shape[1])
        return outer @ inner


@given(st.lists(st.integers(1, 9), min_size=2, max_size=7), st.sampled_from(["given", "accumulated"]))
def test_a_tree_carried_out_is_the_product_and_costs_what_it_says(widths, mode):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((rows, columns)) for columns, rows in pairwise(widths)]
    counts = []
    linearized = [Counted(array, mode, counts) for array in arrays]
    best = best_bracketing([(*array.shape, array.size) for array in arrays], matrix_free=mode != "given")
    jacobian = best.execute(linearized)
    wanted = arrays[0]
    for array in arrays[1:]:
        wanted = array @ wanted
    np.testing.assert_allclose(jacobian, wanted, rtol=1e-10, atol=1e-10)
    assert sum(counts) == best.cost


def test_what_is_no_chain():
    with pytest.raises(UsageError) as error:
        best_bracketing([(3, 2, 1), (4, 5, 1)])
    assert str(error.value) == "factors from the input side must fit: factor 1 has 3 rows, factor 2 5 columns"
    with pytest.raises(UsageError) as error:
        best_bracketing([])
    assert str(error.value) == "a chain of Jacobians needs at least one factor"
