"""Splits that a column decides: by groups that stay together, or in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.panel import fit_times, groups_of, ranks_of
from backprop_cli.data.split import Indices, split_seed, split_sizes
from backprop_cli.data.table import CellValue, Table, show
from backprop_cli.errors import DataError, listing, plural, warn

TOLERATED = 0.1
"""Largest difference of a share, of the rows or of a class, that is not worth a warning."""
_PASSES = 20
"""Most passes over all groups that look for better places."""


def split_by_time(table: Table, column: str, fractions: Mapping[str, float]) -> dict[str, Indices]:
    """Rows of each split, in file order: those of ``train`` come before all others in time, those of the test last.

    The boundaries are the changes of time nearest to the fractions.

    Raises: DataError for a time that cannot be read, and for fewer different times than splits.
    """
    ranks = ranks_of(table, column, fit_times(table, column))
    names, sizes = split_sizes(table.rows, fractions, table.name, "row")
    ends = np.cumsum(np.bincount(ranks))  # rows up to each time
    if len(ends) < len(names):
        raise _too_few(f"{table.of(column)}: has {plural(len(ends), 'different time')}", names)
    last, found = -1, {}
    for number, (name, wanted) in enumerate(zip(names, np.cumsum(sizes), strict=True)):
        left = len(names) - 1 - number
        choice = np.arange(last + 1, len(ends) - left)
        chosen = len(ends) - 1 if left == 0 else int(choice[np.argmin(np.abs(ends[choice] - wanted))])
        found[name] = np.flatnonzero((ranks > last) & (ranks <= chosen))
        last = chosen
    return found


def _too_few(has: str, names: Sequence[str]) -> DataError:
    """The error for fewer groups or times than the splits, or the parts of folds, called ``names``."""
    is_split = set(names) <= {"train", "validation", "test"}
    what, other = ("splits", "set data.split.validation or test to 0") if is_split else ("parts", "take fewer folds")
    return DataError(f"{has}, and {len(names)} {what} need one each; name another column, or {other}")


def split_by_groups(
    table: Table,
    columns: Sequence[str],
    fractions: Mapping[str, float],
    seed: int,
    labels: Indices | None,
    *,
    classes: Sequence[CellValue] = (),
    warning: bool = True,
) -> dict[str, Indices]:
    """Rows of each split, in file order, no group in two of them.

    Large groups are placed first, each where most rows are lacking, of its classes if there are ``labels``; then groups
    move as long as that brings the splits nearer to the fractions. ``warning``: warn if they stay far from them.
    ``classes``: the names of the labels.

    Raises: DataError for a missing group, and for fewer groups than splits.
    """
    groups, known = groups_of(table, columns)
    names, sizes = split_sizes(table.rows, fractions, table.name, "row")
    if len(known) < len(names):
        raise _too_few(f"{table.of(columns[0])}: has {plural(len(known), 'group')}", names)
    codes = np.zeros(table.rows, np.int64) if labels is None else labels
    counts = np.zeros((len(known), codes.max() + 1))
    np.add.at(counts, (groups, codes), 1)
    wanted = np.outer(sizes / table.rows, counts.sum(axis=0))
    order = np.random.default_rng(split_seed(seed)).permutation(len(known))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    places = _placed(counts, wanted, order)
    if warning:
        of_splits = np.stack([counts[places == k].sum(axis=0) for k in range(len(names))])
        place = f"{table.name}: the groups of {listing(map(show, columns))} leave"
        _warn_of_shares(place, names, sizes, of_splits, classes)
    return {name: np.flatnonzero(places[groups] == k) for k, name in enumerate(names)}


def _placed(counts: NDArray[np.float64], wanted: NDArray[np.float64], order: Indices) -> Indices:
    """The split of each group, to make ``sum over splits and classes of (rows - wanted)^2 / rows of the class`` small.

    Shapes: counts (groups, classes); wanted (splits, classes)
    """
    weight = 1 / np.maximum(counts.sum(axis=0), 1)
    places = np.full(len(counts), -1)
    lacking, filled = wanted.copy(), np.zeros(len(wanted), np.int64)
    for done, group in enumerate(order):
        gain = lacking @ (counts[group] * weight)
        if len(order) - done <= np.count_nonzero(filled == 0):
            gain[filled > 0] = -np.inf  # every split gets a group
        places[group] = chosen = int(np.argmax(gain))
        lacking[chosen] -= counts[group]
        filled[chosen] += 1
    for _ in range(_PASSES):
        moved = False
        for group in order:
            here, own = places[group], counts[group] * weight
            # Moving lowers the sum by 2 (lacking there - lacking here - rows of the group) . own.
            gain = (lacking - lacking[here] - counts[group]) @ own
            gain[here] = 0.0
            there = int(np.argmax(gain))
            if filled[here] > 1 and gain[there] > 1e-9:
                lacking[here] += counts[group]
                lacking[there] -= counts[group]
                filled[here], filled[there], places[group], moved = filled[here] - 1, filled[there] + 1, there, True
        if not moved:
            break
    return places


def _warn_of_shares(
    place: str, names: Sequence[str], sizes: Indices, counts: NDArray[np.float64], classes: Sequence[CellValue]
) -> None:
    """Warn if the groups keep the splits from their sizes, or from equal shares of classes.

    Shapes: counts (splits, classes)
    """
    rows = counts.sum(axis=1)

    def listed(shares: NDArray[np.float64]) -> str:
        return ", ".join(f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True))

    if np.abs(rows - sizes).max() > TOLERATED * rows.sum():
        wanted = listed(sizes / rows.sum())
        warn(f"{place} the splits with other shares of the rows than {wanted}: {listed(rows / rows.sum())}")
    of_classes = counts / rows[:, None]
    if np.abs(of_classes - counts.sum(axis=0) / rows.sum()).max() > TOLERATED:
        most = int(np.argmax(np.ptp(of_classes, axis=0)))
        name = show(classes[most]) if classes else f"number {most}"
        warn(f"{place} different shares of the class {name} in the splits: {listed(of_classes[:, most])}")
