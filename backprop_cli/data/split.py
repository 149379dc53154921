"""Assignment of rows to splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.sections import SplitSettings
from backprop_cli.errors import DataError, plural

Indices = NDArray[np.int64]

_STREAM = 0x5B1175  # separates these random numbers from other uses of the seed


def split_seed(seed: int) -> list[int]:
    """The seed of the random numbers that choose rows or groups."""
    return [seed, _STREAM]


def split_rows(
    rows: int, fractions: Mapping[str, float], *, seed: int, labels: Indices | None, name: str
) -> dict[str, Indices]:
    """Rows of ``train`` and of each split in ``fractions`` (those above 0): disjoint, complete, each in file order.

    The splits' sizes are the fractions of ``rows``, rounded by largest remainder. With ``labels`` (rows,) each split
    has its share of every class, rounded likewise: counts are off by less than 1, or 2 if the sizes leave no other
    choice. Every class then has a row in ``train`` if enough rows exist. ``seed`` chooses the rows.

    Raises: DataError if a split would be empty.
    """
    parts, sizes = split_sizes(rows, fractions, name, "row")
    rng = np.random.default_rng(split_seed(seed))
    codes = np.zeros(rows, np.int64) if labels is None else labels
    counts = _allocate(np.bincount(codes), sizes)
    chosen: list[list[Indices]] = [[] for _ in parts]
    for label, count in enumerate(counts):
        order = rng.permutation(np.flatnonzero(codes == label))
        for split, piece in enumerate(np.split(order, np.cumsum(count)[:-1])):
            chosen[split].append(piece)
    return {key: np.sort(np.concatenate(pieces)) for key, pieces in zip(parts, chosen, strict=True)}


Assign = Callable[[Indices, Mapping[str, float]], dict[str, Indices]]
"""Shares out rows: those of ``train``, and of each split with a fraction."""


def fold_rows(
    assign: Assign, rows: int, split: SplitSettings, fractions: Mapping[str, float], name: str
) -> dict[str, Indices]:
    """Rows of each split of a fold: the test rows are one of ``fold.of`` equal parts, and ``assign`` makes all parts.

    Train and validation rows share the others in the configured proportion. In time there is one part more, and only
    earlier parts are trained on: the window of train rows expands from fold to fold.

    Raises: DataError for fewer rows than parts, and as ``assign``.
    """
    fold = split.fold
    assert fold is not None
    count, in_time = fold.of, split.time is not None
    parts = count + 1 if in_time else count
    if rows < parts:
        raise DataError(f"{name}: {plural(rows, 'row')} cannot make {fold.of} folds; take fewer")
    names = [f"part {number}" for number in range(2, parts + 1)]
    found = [*assign(np.arange(rows), dict.fromkeys(names, 1 / parts)).values()]
    test = fold.number if in_time else fold.number - 1
    others = found[:test] if in_time else [*found[:test], *found[test + 1 :]]
    share = fractions.get("validation", 0.0) / (1.0 - split.test)
    return {**assign(np.sort(np.concatenate(others)), {"validation": share}), "test": found[test]}


def split_in_order(rows: int, fractions: Mapping[str, float], *, name: str, what: str = "row") -> dict[str, range]:
    """Consecutive ranges of rows: the first for ``train``, then one for each split in ``fractions``.

    Raises: DataError if a split would be empty.
    """
    parts, sizes = split_sizes(rows, fractions, name, what)
    ends = [int(end) for end in np.cumsum(sizes)]
    return {key: range(end - int(size), end) for key, end, size in zip(parts, ends, sizes, strict=True)}


def split_series(parts: Sequence[range], fractions: Mapping[str, float], *, name: str) -> dict[str, Indices]:
    """Rows of each split, taken from each series in order: its last rows are held out.

    Raises: DataError if a split would be empty.
    """
    if len(parts) == 1:
        whole = split_in_order(len(parts[0]), fractions, name=name)
        return {key: np.arange(part.start, part.stop) for key, part in whole.items()}
    names, _ = split_sizes(sum(map(len, parts)), fractions, name, "row")
    shares = np.array([1.0 - sum(fractions.values()), *(fractions[key] for key in names[1:])])
    found: dict[str, list[Indices]] = {key: [] for key in names}
    for part in parts:
        ends = part.start + np.cumsum(_largest_remainder(len(part), shares))
        for key, begin, end in zip(names, [part.start, *ends[:-1]], ends, strict=True):
            found[key].append(np.arange(begin, end))
    rows = {key: np.concatenate(pieces) for key, pieces in found.items()}
    empty = next((key for key, chosen in rows.items() if not len(chosen)), None)
    if empty is not None:
        raise DataError(
            f"{name}: its {len(parts):,} groups are too short to be split: none leaves a row for {empty}; give more "
            "rows or set data.split"
        )
    return rows


def split_sizes(rows: int, fractions: Mapping[str, float], name: str, what: str) -> tuple[list[str], Indices]:
    """The splits' names and numbers of rows (in messages: ``what``). Raises: DataError for an empty split."""
    parts = {"train": 1.0 - sum(fractions.values()), **{key: f for key, f in fractions.items() if f > 0}}
    sizes = _largest_remainder(rows, np.array(list(parts.values())))
    if sizes.min() == 0:
        empty = list(parts)[int(np.argmin(sizes))]
        shares = ", ".join(f"{key} {share:.3g}" for key, share in parts.items())
        raise DataError(
            f"{name}: {plural(rows, what)} cannot be split into {shares}: nothing is left for "
            f"{empty}; give more {what}s or set data.split"
        )
    return list(parts), sizes


def _largest_remainder(total: int, shares: NDArray[np.float64]) -> Indices:
    """Whole numbers with the sum ``total``, proportional to ``shares`` (with the sum 1); ties go to the first."""
    # Rounding first: 0.15 * 100 is 15.000000000000002 in binary, and 14.999999999999998 would lose a row.
    quotas = np.round(total * shares, 9)
    out: Indices = np.floor(quotas).astype(np.int64)
    first = np.argsort(out - quotas, kind="stable")
    out[first[: total - int(out.sum())]] += 1
    return out


def _allocate(classes: Indices, sizes: Indices) -> Indices:
    """Whole numbers (classes, splits) near the products of the margins over the total, with exactly these margins.

    Every class has one in the first split if that is large enough, even at the cost of the largest class.
    """
    quotas = np.round(np.outer(classes, sizes) / classes.sum(), 9)
    out: Indices = np.floor(quotas).astype(np.int64)
    order = np.argsort(out - quotas, axis=None, kind="stable")  # largest remainder first, then class, then split
    if sizes[0] >= np.count_nonzero(classes):
        out[classes > 0, 0] = np.maximum(out[classes > 0, 0], 1)
        while out[:, 0].sum() > sizes[0]:
            out[np.argmax(out[:, 0]), 0] -= 1
    rows, columns = classes - out.sum(axis=1), sizes - out.sum(axis=0)
    while rows.any():  # then a column has room as well: both margins have one sum
        for flat in order:
            i, j = divmod(int(flat), out.shape[1])
            if rows[i] > 0 and columns[j] > 0:
                out[i, j] += 1
                rows[i] -= 1
                columns[j] -= 1
    return out
