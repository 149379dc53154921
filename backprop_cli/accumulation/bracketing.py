"""Chains of Jacobians: the cheapest order to multiply ``F' = F_q' ... F_2' F_1'``, and which factors to form.

Costs are numbers of multiplications; additions are free. Factors are counted from the input side, from 0.

Source: Godbole (1973) for given matrices; Naumann, arXiv 2003.05755 and 2406.11862, for factors given only by their
tangent and adjoint programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

from backprop_cli.errors import UsageError
from backprop_cli.structs import Struct

Matrix = TypeVar("Matrix")


class FactorSize(NamedTuple):
    """Size of a function with ``columns`` inputs and ``rows`` outputs; one tangent or adjoint costs ``edges``."""

    rows: int
    columns: int
    edges: int = 0


class LinearFactor(Protocol[Matrix]):
    """A factor of the chain, to compute with. Matrices may be arrays or traced values."""

    def matrix(self) -> Matrix:
        """The Jacobian (rows, columns)."""

    def tangent(self, inner: Matrix) -> Matrix:
        """The Jacobian times ``inner`` (columns, n) -> (rows, n)."""

    def adjoint(self, outer: Matrix) -> Matrix:
        """``outer`` (m, rows) times the Jacobian -> (m, columns)."""

    def product(self, outer: Matrix, inner: Matrix) -> Matrix:
        """The product of two accumulated Jacobians."""


class Bracket(Struct):
    """The cheapest way to the Jacobian of the factors ``first`` to ``last``, inclusive.

    ``how``: ``given`` (one factor with a known matrix), ``tangent`` (push ``inner``, or the identity, through the
    factors above it), ``adjoint`` (pull ``outer``, or the identity, through the factors below it), or ``product`` of
    ``outer`` and ``inner``. ``cost``: multiplications of the whole tree.
    """

    first: int
    last: int
    cost: int
    how: Literal["given", "tangent", "adjoint", "product"]
    inner: Bracket | None = None
    outer: Bracket | None = None

    def execute(self, factors: Sequence[LinearFactor[Matrix]]) -> Matrix:
        """The Jacobian, accumulated by this tree."""
        if self.how == "product":
            assert self.inner is not None and self.outer is not None
            return factors[self.last].product(self.outer.execute(factors), self.inner.execute(factors))
        if self.how == "tangent":
            jacobian = factors[self.first].matrix() if self.inner is None else self.inner.execute(factors)
            for k in range(self.first + 1 if self.inner is None else self.inner.last + 1, self.last + 1):
                jacobian = factors[k].tangent(jacobian)
            return jacobian
        if self.how == "adjoint":
            jacobian = factors[self.last].matrix() if self.outer is None else self.outer.execute(factors)
            for k in reversed(range(self.first, self.last if self.outer is None else self.outer.first)):
                jacobian = factors[k].adjoint(jacobian)
            return jacobian
        return factors[self.first].matrix()

    def __str__(self) -> str:
        """Factors from the output side, numbered from 1: ``((F4 F3) (F2 F1))``, ``F4 F3 >F2``.

        ``>`` marks a matrix that is pushed through the factors on its left, ``<`` one pulled through those on its
        right.
        """
        below = range(self.first, self.last + 1)
        if self.how == "product":
            return f"({self.outer} {self.inner})"
        if self.how == "tangent" and self.inner is not None:
            return " ".join([*(f"F{k + 1}" for k in reversed(below) if k > self.inner.last), f">{self.inner}"])
        if self.how == "adjoint" and self.outer is not None:
            return " ".join([f"{self.outer}<", *(f"F{k + 1}" for k in reversed(below) if k < self.outer.first)])
        return " ".join(f"F{k + 1}" for k in reversed(below))


def best_bracketing(
    factors: Sequence[FactorSize | tuple[int, int, int]], *, matrix_free: bool = False, memory: int | None = None
) -> Bracket:
    """The cheapest bracketing of a chain, by dynamic programming; O(q^3) for q factors.

    With given matrices ``C[j,i] = min_k C[j,k+1] + C[k,i] + m_j m_k n_i``. ``matrix_free``: each Jacobian must first be
    accumulated by ``min(m, n)`` tangents or adjoints, and a part of the chain may be applied to the Jacobian of the
    rest: ``C[k,i] + n_i sum_{v=k+1..j} |E_v|`` or ``C[j,k+1] + m_j sum_{v=i..k} |E_v|``. An adjoint is allowed if its
    tape, one word for each edge, fits into ``memory``.

    Raises: UsageError if the sizes of neighbouring factors do not fit.
    """
    chain = _checked([FactorSize(*factor) for factor in factors])
    best: dict[tuple[int, int], Bracket] = {}
    for length in range(1, len(chain) + 1):
        for first in range(len(chain) - length + 1):
            last = first + length - 1
            if length == 1:
                choices = _single(chain, first, matrix_free, memory)
            else:
                choices = _splits(chain, first, last, best, matrix_free, memory)
            best[first, last] = min(choices, key=lambda bracket: bracket.cost)
    return best[0, len(chain) - 1]


def one_way_costs(factors: Sequence[FactorSize | tuple[int, int, int]]) -> tuple[int, int]:
    """Multiplications of the whole Jacobian by tangents alone (one per input), or adjoints alone (one per output)."""
    chain = _checked([FactorSize(*factor) for factor in factors])
    edges = sum(factor.edges for factor in chain)
    return chain[0].columns * edges, chain[-1].rows * edges


def _checked(chain: Sequence[FactorSize]) -> Sequence[FactorSize]:
    if not chain:
        raise UsageError("a chain of Jacobians needs at least one factor")
    for k in range(1, len(chain)):
        if chain[k].columns != chain[k - 1].rows:
            sizes = f"factor {k} has {chain[k - 1].rows} rows, factor {k + 1} {chain[k].columns} columns"
            raise UsageError(f"factors from the input side must fit: {sizes}")
    return chain


def _single(chain: Sequence[FactorSize], k: int, matrix_free: bool, memory: int | None) -> Iterator[Bracket]:
    if not matrix_free:
        yield Bracket(k, k, 0, "given")
        return
    yield Bracket(k, k, chain[k].columns * chain[k].edges, "tangent")
    if memory is None or chain[k].edges <= memory:
        yield Bracket(k, k, chain[k].rows * chain[k].edges, "adjoint")


def _splits(
    chain: Sequence[FactorSize],
    first: int,
    last: int,
    best: dict[tuple[int, int], Bracket],
    matrix_free: bool,
    memory: int | None,
) -> Iterator[Bracket]:
    rows, columns = chain[last].rows, chain[first].columns
    for k in range(first, last):
        inner, outer = best[first, k], best[k + 1, last]
        work = rows * chain[k].rows * columns
        yield Bracket(first, last, inner.cost + outer.cost + work, "product", inner, outer)
        if not matrix_free:
            continue
        above, below = (sum(f.edges for f in part) for part in (chain[k + 1 : last + 1], chain[first : k + 1]))
        yield Bracket(first, last, inner.cost + columns * above, "tangent", inner=inner)
        if memory is None or below <= memory:
            yield Bracket(first, last, outer.cost + rows * below, "adjoint", outer=outer)
