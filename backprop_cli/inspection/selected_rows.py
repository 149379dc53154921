"""Rows of data selected by their numbers, for commands that look at some examples."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.autodiff import Array
from backprop_cli.data.dataset import load_inputs
from backprop_cli.data.examples import Split
from backprop_cli.errors import UsageError
from backprop_cli.session.data_changes import changed
from backprop_cli.session.measured_data import change_warnings, check_split, find_split, other_data, own_dataset
from backprop_cli.session.trained_network import TrainedNetwork
from backprop_cli.structs import Struct

ALL = "all"
_LISTED = 5


class SelectedRows(Struct, eq=False):
    """Some examples. ``rows`` (examples,): their numbers, counted as in messages about data.

    ``source``: the name of a split, or the file. ``is_single``: one row was requested, not a batch.
    """

    inputs: Array
    targets: Array | None
    rows: Array
    source: str
    is_split: bool
    is_single: bool = False
    warnings: tuple[str, ...] = ()
    weights: Array | None = None

    def chosen(self, places: Array, is_single: bool) -> SelectedRows:
        """The examples at these positions."""
        targets = None if self.targets is None else self.targets[places]
        weights = None if self.weights is None else self.weights[places]
        inputs, rows = self.inputs[places], self.rows[places]
        return SelectedRows(inputs, targets, rows, self.source, self.is_split, is_single, self.warnings, weights)


def select_rows(
    saved: TrainedNetwork,
    source: Path | None,
    *,
    split: str = "test",
    rows: Sequence[str] = (),
    first: bool = False,
    with_targets: bool = True,
    dtype: DTypeLike = np.float64,
    input_format: str | None = None,
) -> SelectedRows:
    """Rows of the file ``source``, or of a split of the network's own data.

    ``rows``: texts such as ``17``, ``2-20``, ``all``. Without any, all rows are selected, or only the ``first``.

    Raises:
        UsageError: a text of another form, or a row or split that does not exist.
        DataError: the data cannot be read as the network needs it.

    """
    wanted = [_span(text) for text in rows if text != ALL]
    if source is None:
        found, elsewhere = _of_split(saved, split, dtype)
    else:
        found, elsewhere = _of_file(saved, source, with_targets, dtype, input_format), {}
    if first and not rows:
        return found.chosen(np.arange(1), is_single=True)
    if not rows or ALL in rows:
        return found
    places = [_places(found, *span, elsewhere) for span in wanted]
    is_single = len(rows) == 1 and rows[0].isdecimal()
    return found.chosen(np.concatenate(places), is_single)


def _span(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise UsageError(f"--row {text}: expected a row number, a range (2-20), or {ALL}")
    return int(match[1]), int(match[2] or match[1])


def _of_split(saved: TrainedNetwork, split: str, dtype: DTypeLike) -> tuple[SelectedRows, Mapping[str, Array]]:
    """The split, and the row numbers of the other splits."""
    check_split(split)
    dataset = own_dataset(saved, dtype)
    chosen = find_split(dataset, split)
    others = {name: part.rows for name, part in dataset.splits.items() if name != split and part.rows is not None}
    found = changed(saved.checkpoint.metadata, dataset.files)
    return replace(_all_of(chosen, split, is_split=True), warnings=change_warnings(found)), others


def _of_file(
    saved: TrainedNetwork, source: Path, with_targets: bool, dtype: DTypeLike, format: str | None
) -> SelectedRows:
    if with_targets:
        return _all_of(other_data(saved, source, dtype, format), str(source), is_split=False)
    inputs, numbers = load_inputs(source, saved.transform, dtype=dtype, format=format)
    return SelectedRows(inputs, None, numbers, str(source), False)


def _all_of(split: Split, source: str, is_split: bool) -> SelectedRows:
    numbers = np.arange(len(split)) if split.rows is None else split.rows
    return SelectedRows(
        np.asarray(split.inputs), np.asarray(split.targets), numbers, source, is_split, weights=split.weights
    )


def _places(found: SelectedRows, first: int, last: int, elsewhere: Mapping[str, Array]) -> Array:
    """Positions of rows ``first`` to ``last`` among the examples. Raises: UsageError if there are none."""
    inside: Callable[[Array], Array] = lambda rows: np.flatnonzero((rows >= first) & (rows <= last))  # noqa: E731
    places = inside(found.rows)
    if len(places):
        return places
    text = f"{first}" if first == last else f"{first}-{last}"
    where = f"the {found.source} split" if found.is_split else found.source
    for name, rows in elsewhere.items():
        if len(inside(rows)):
            raise UsageError(f"--row {text}: not in {where}, but in {name}: add --split {name}")
    numbers = ", ".join(map(str, found.rows[:_LISTED])) + (", ..." if len(found.rows) > _LISTED else "")
    raise UsageError(f"--row {text}: not in {where}; its {len(found.rows):,} rows are {numbers}")
