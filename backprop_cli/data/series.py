"""Examples from rows in the order of time: some rows, and as targets what comes after them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.examples import Split
from backprop_cli.data.features import Floats, Rows
from backprop_cli.data.setting_error import SettingError
from backprop_cli.data.settings import WindowSettings
from backprop_cli.data.split import Indices
from backprop_cli.data.table import Array, Table
from backprop_cli.data.transform import Transform
from backprop_cli.data.windows import Windows

LAST_VALUE, SEASONAL = "last_value", "seasonal"


def series_split(
    inputs: Table, targets: Table, transform: Transform, rows: Rows, dtype: DTypeLike, place: str
) -> Split:
    """Windows whose targets are among consecutive ``rows`` of the tables (None: all).

    The rows before them may be inputs of the first windows: when their targets are to be predicted, they are known. So
    a split has all its rows for targets, and no row is a target in two. ``rows`` of the split are those at which a
    window begins. ``place`` is what messages call these rows.

    Raises: SettingError where they are too few for one window; DataError for a value that cannot be used.
    """
    window = transform.window
    assert window is not None
    if rows is not None and window.season is not None and window.season >= inputs.rows:
        reason = f"a season of {window.season} rows is as long as {inputs.name} or longer, which has {inputs.rows}"
        raise SettingError(
            [(("data", "window", "season"), f"{reason}: no row is a season after another; leave it out")]
        )
    own = np.arange(inputs.rows) if rows is None else rows
    chosen = _with_past(own, window.length)
    starts = _starts(len(chosen), window.length + window.horizon, window.stride)
    if not len(starts):
        ways_out = "give more rows" if rows is None else "give more rows, make windows shorter, or change data.split"
        raise _too_few(place, len(own), len(chosen) - len(own), window, ways_out)
    values = transform.rows(inputs, chosen, dtype=dtype)
    after = transform.targets(targets, chosen, dtype=dtype)
    made = Windows(values, starts, window.length, transform.input_shape, values.dtype)
    width = window.horizon * after.shape[1]
    wanted = Windows(after, starts + window.length, window.horizon, (width,), after.dtype)
    exact = transform.exact_targets(targets, chosen, after)
    if exact is not None:
        exact = Windows(exact, starts + window.length, window.horizon, (width,), exact.dtype)[:]
    baselines = _baselines(transform, targets, starts + chosen[0])
    return Split(made, wanted[:], inputs.numbers(chosen[starts]), baselines=baselines, exact=exact)


def _with_past(rows: Indices, length: int) -> Indices:
    """Consecutive ``rows``, and the ``length`` before them, or as many as there are."""
    return np.arange(max(rows[0] - length, 0), rows[-1] + 1)


def _starts(rows: int, size: int, stride: int) -> Indices:
    return np.arange(0, rows - size + 1, stride)


def _too_few(place: str, rows: int, past: int, window: WindowSettings, ways_out: str) -> SettingError:
    needed = f"a window takes {window.length + window.horizon}: length {window.length} and horizon {window.horizon}"
    has = f"{place} has {rows} row{'' if rows == 1 else 's'}{f' and {past} before' if past else ''}"
    return SettingError([(("data", "window"), f"{has}, and {needed}; {ways_out}")])


def _baselines(transform: Transform, targets: Table, starts: Indices) -> dict[str, Floats]:
    """What is predicted without a network, float64 (examples, horizon * targets) in the targets' own unit.

    ``last_value``: the targets of a window's last row. ``seasonal``: those of the last row that is a whole number of
    seasons before the row to predict and not after the window; NaN where that is before the first row.
    """
    window = transform.window
    assert window is not None
    numbers = transform.target.numbers(targets)
    now = starts[:, None] + window.length - 1
    ahead = np.arange(1, window.horizon + 1)
    before = {LAST_VALUE: np.zeros_like(ahead)}
    if window.season is not None:
        before[SEASONAL] = -(-ahead // window.season) * window.season - ahead
    found = {}
    for name, back in before.items():
        row = now - back
        known = np.where((row >= 0)[..., None], numbers[np.maximum(row, 0)], np.nan)
        found[name] = known.reshape(len(starts), -1)
    return found


def windows_of(pieces: Iterable[Array], transform: Transform, name: str, largest: int | None = None) -> Iterator[Array]:
    """Inputs (windows, *input_shape) from rows that come in ``pieces`` (rows, width): one for each row that ends one.

    At most ``largest`` at a time; they are held in memory with all their rows.

    Raises: SettingError where there are too few rows for one. ``name`` is what messages call them.
    """
    assert transform.window is not None
    length, rows, seen = transform.window.length, None, 0
    for piece in pieces:
        seen += len(piece)
        rows = piece if rows is None else np.concatenate([rows, piece])
        if len(rows) < length:
            continue
        made = Windows(rows, _starts(len(rows), length, 1), length, transform.input_shape, rows.dtype)
        for start in range(0, len(made), largest or len(made)):
            yield made[start : start + (largest or len(made))]
        rows = rows[len(made) :]
    if seen < length:
        count = f"{seen} row{'' if seen == 1 else 's'}"
        reason = f"{name} has {count}, and a window takes {length}; give more rows"
        raise SettingError([(("data", "window"), reason)])
