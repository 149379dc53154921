"""The structure of an op's Jacobian: which entries can differ from 0, and the cost of products of such matrices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from backprop_cli.autodiff.spec import Array


class LocalJacobian(NamedTuple):
    """The structure of an op's Jacobian by one operand.

    Shapes: reads (elements of the result, n)

    ``reads``: flat indices of the operand's elements that each element of the result depends on, padded with -1.
    ``is_unit``: every entry is ``sign`` (1 or -1) for any values, so multiplying by the matrix is free.
    ``columns``: number of elements of the operand.
    """

    reads: Array
    is_unit: bool
    columns: int
    sign: int = 1

    @property
    def nonzeros(self) -> int:
        """Entries that can differ from 0."""
        return int(np.count_nonzero(self.reads >= 0))

    @property
    def is_thin(self) -> bool:
        """At most one entry in each row, or in each column: a product with it has no more entries than the other."""
        present = self.reads >= 0
        one_a_row = int(np.count_nonzero(present, axis=1).max(initial=0)) <= 1
        return one_a_row or int(np.bincount(self.reads[present]).max(initial=0)) <= 1

    @property
    def is_diagonal(self) -> bool:
        """Square, and each element of the result depends only on the operand's element at the same place."""
        rows = len(self.reads)
        return (
            self.reads.shape == (rows, 1) and self.columns == rows and bool((self.reads[:, 0] == np.arange(rows)).all())
        )

    @property
    def kind(self) -> str:
        """The name of the structure.

        ``zero``, ``identity``, ``permutation``, ``selection`` (of some elements); and, for some order of rows and
        columns, ``diagonal``, ``broadcast`` (an element goes to many), ``sum`` (of disjoint elements), ``dense``,
        ``block diagonal`` with dense blocks, or ``sparse``.
        """
        return _kind(self)


def dense(rows: int, columns: int) -> LocalJacobian:
    """Each element of the result depends on all elements of the operand."""
    return LocalJacobian(np.broadcast_to(np.arange(columns), (rows, columns)), False, columns)


def composed(outer: LocalJacobian, inner: LocalJacobian) -> LocalJacobian:
    """The structure of the product ``outer @ inner``."""
    is_unit, sign = outer.is_unit and inner.is_unit, outer.sign * inner.sign
    present = outer.reads >= 0
    if outer.reads.shape[1] == 1:
        reads = np.where(present, inner.reads[outer.reads[:, 0]], -1)
        return LocalJacobian(reads, is_unit, inner.columns, sign)
    is_injective = inner.reads.shape[1] == 1 and np.bincount(inner.reads[inner.reads >= 0]).max(initial=0) <= 1
    if is_injective:
        return LocalJacobian(np.where(present, inner.reads[outer.reads, 0], -1), is_unit, inner.columns, sign)
    found = Structure.of(outer).product(Structure.of(inner)).local()
    return found._replace(sign=sign)


def added(left: LocalJacobian, right: LocalJacobian) -> LocalJacobian:
    """The structure of the sum of two matrices. An entry that both have need not be 1 or -1."""
    if left.reads.shape == right.reads.shape and np.array_equal(left.reads, right.reads):
        return left._replace(is_unit=False, sign=1)
    found = Structure.of(left).sum(Structure.of(right)).local()
    return found._replace(is_unit=found.is_unit and left.sign == right.sign, sign=left.sign)


def inverted(made: Array, read: Array, rows: int) -> Array:
    """``LocalJacobian.reads`` from pairs in any order: element ``made[k]`` reads ``read[k]``; -1 is no pair."""
    is_pair = made >= 0
    made, read = made[is_pair], read[is_pair]
    order = np.argsort(made, kind="stable")
    counts = np.bincount(made, minlength=rows)
    place = np.arange(len(made)) - np.repeat(np.cumsum(counts) - counts, counts)
    reads = np.full((rows, int(counts.max(initial=0))), -1)
    reads[made[order], place] = read[order]
    return reads


def _kind(local: LocalJacobian) -> str:
    rows, columns = len(local.reads), local.columns
    per_row = np.count_nonzero(local.reads >= 0, axis=1)
    per_column = np.bincount(local.reads[local.reads >= 0], minlength=columns)
    most_row, most_column = int(per_row.max(initial=0)), int(per_column.max(initial=0))
    nonzeros = local.nonzeros
    if nonzeros == 0:
        return "zero"
    if nonzeros == rows * columns and nonzeros > 1:
        return "sum" if local.is_unit and rows == 1 else "broadcast" if local.is_unit and columns == 1 else "dense"
    if most_row <= 1 and most_column <= 1:
        if not local.is_unit or local.sign < 0:
            return "diagonal"
        if local.is_diagonal:
            return "identity"
        return "permutation" if nonzeros == rows == columns else "selection"
    if local.is_unit and most_column <= 1:
        return "sum"
    if local.is_unit and most_row <= 1:
        return "broadcast"
    # Rows with the same columns are a block; they are dense blocks if no two different ones share a column.
    sets = {row.tobytes(): int(np.count_nonzero(row >= 0)) for row in np.sort(local.reads, axis=1)}
    return "block diagonal" if sum(sets.values()) == np.count_nonzero(per_column) else "sparse"


class Structure:
    """A sparsity pattern: bit c of ``rows[r]`` is set if entry (r, c) can differ from 0.

    Numbers that happen to cancel count as entries. Rows are Python integers: a row of a product is a few ``or``.
    """

    def __init__(self, rows: tuple[int, ...], columns: int, is_unit: bool):
        self.rows, self.columns, self.is_unit = rows, columns, is_unit

    @classmethod
    def of(cls, local: LocalJacobian) -> Structure:
        """The pattern of a local Jacobian."""
        known: dict[bytes, int] = {}
        rows = []
        for row in np.ascontiguousarray(local.reads):
            key = row.tobytes()
            if key not in known:
                mask = np.zeros(local.columns, bool)
                mask[row[row >= 0]] = True
                known[key] = int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")
            rows.append(known[key])
        return cls(tuple(rows), local.columns, local.is_unit)

    def local(self) -> LocalJacobian:
        """The pattern as the indices read by each row."""
        reads = np.full((len(self.rows), max((row.bit_count() for row in self.rows), default=0)), -1)
        for place, row in enumerate(self.rows):
            here = positions(row)
            reads[place, : len(here)] = here
        return LocalJacobian(reads, self.is_unit, self.columns)

    @property
    def key(self) -> tuple[tuple[int, ...], int, bool]:
        """Equal for equal patterns."""
        return self.rows, self.columns, self.is_unit

    @cached_property
    def per_row(self) -> Array:
        """Entries of each row."""
        return np.array([row.bit_count() for row in self.rows], np.int64)

    @cached_property
    def per_column(self) -> Array:
        """Entries of each column."""
        counts = np.zeros(self.columns, np.int64)
        times: dict[int, int] = {}
        for row in self.rows:
            times[row] = times.get(row, 0) + 1
        for row, count in times.items():
            if row.bit_count() < _FEW:
                counts[positions(row)] += count
            else:
                counts += count * self._bits(row)
        return counts

    def _bits(self, row: int) -> Array:
        raw = np.frombuffer(row.to_bytes(-(-self.columns // 8), "little"), np.uint8)
        return np.unpackbits(raw, count=self.columns, bitorder="little").astype(np.int64)

    @cached_property
    def nonzeros(self) -> int:
        """Entries that can differ from 0."""
        return int(self.per_row.sum())

    @cached_property
    def is_permutation(self) -> bool:
        """The same elements, possibly in another order or with another sign."""
        square = len(self.rows) == self.columns
        return self.is_unit and square and bool((self.per_row == 1).all() and (self.per_column == 1).all())

    def terms(self, inner: Structure) -> int:
        """Number of products of two entries in ``self @ inner``: ``sum_k entries(column k) * entries(row k)``."""
        return int(self.per_column @ inner.per_row)

    def multiplications(self, inner: Structure) -> int:
        """Multiplications of ``self @ inner``; 0 if all entries of either are 1 or -1."""
        return 0 if self.is_unit or inner.is_unit else self.terms(inner)

    def product(self, inner: Structure) -> Structure:
        """The pattern of ``self @ inner``."""
        known: dict[int, int] = {}
        for row in self.rows:
            if row not in known:
                reached = 0
                for k in positions(row):
                    reached |= inner.rows[k]
                known[row] = reached
        found = Structure(tuple(known[row] for row in self.rows), inner.columns, False)
        found.is_unit = self.is_unit and inner.is_unit and found.nonzeros == self.terms(inner)
        return found

    def sum(self, other: Structure) -> Structure:
        """The pattern of ``self + other``."""
        rows = tuple(a | b for a, b in zip(self.rows, other.rows, strict=True))
        found = Structure(rows, self.columns, False)
        found.is_unit = self.is_unit and other.is_unit and found.nonzeros == self.nonzeros + other.nonzeros
        return found


_FEW = 16
"""Number of bits up to which they are picked one by one."""


def positions(mask: int) -> Sequence[int]:
    """The positions of the bits that are set, lowest first."""
    if mask.bit_count() >= _FEW:
        raw = np.frombuffer(mask.to_bytes(-(-mask.bit_length() // 8), "little"), np.uint8)
        found: list[int] = np.flatnonzero(np.unpackbits(raw, bitorder="little")).tolist()
        return found
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
