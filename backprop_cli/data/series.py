"""Examples from rows in the order of time: windows of rows, with the rows after them as targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import DTypeLike

from backprop_cli.data.column_values import Floats, Rows
from backprop_cli.data.examples import Split, Windows
from backprop_cli.data.panel import Panel, fit_times, in_order, order_of_rows
from backprop_cli.data.sections import WindowSettings
from backprop_cli.data.series_order import warn_of_gaps, warn_of_order
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.sources import Tables
from backprop_cli.data.split import Indices
from backprop_cli.data.table import Array, Table, show
from backprop_cli.data.times import Times
from backprop_cli.data.transform import Transform
from backprop_cli.data.unseen import Unseen
from backprop_cli.errors import SettingError, listing, plural, warn
from backprop_cli.structs import Struct

LAST_VALUE, SEASONAL = "last_value", "seasonal"


def first_in_order(tables: Tables, settings: DataSettings, fitted: Transform | None) -> Tables:
    """The first file's rows in order. Without a ``fitted`` transform it warns of rows that look out of order.

    Raises: DataError for rows that cannot be put in order.
    """
    window = settings.window
    assert window is not None
    if fitted is not None:
        return _in_order(tables, window, Times(fitted.day_first))
    warn_of_order(tables, settings)
    times = fit_times(tables.inputs, window.time)
    tables = _in_order(tables, window, times)
    assert tables.panel is not None
    warn_of_gaps(tables.inputs, tables.panel, window, times)
    return tables


def _in_order(tables: Tables, window: WindowSettings, times: Times) -> Tables:
    """A copy with the rows of each series together and sorted by time. Raises: DataError."""
    if not window.order:
        return tables._replace(panel=Panel.whole(tables.inputs.rows))
    order, panel = order_of_rows(tables.inputs, window, times)
    inputs = tables.inputs.take(order)
    targets = inputs if tables.targets is tables.inputs else tables.targets.take(order)
    return tables._replace(inputs=inputs, targets=targets, panel=panel, day_first=times.day_first)


def series_split(
    tables: Tables, transform: Transform, rows: Rows, dtype: DTypeLike, split: str, unseen: Unseen | None
) -> Split:
    """Windows whose targets are among ``rows`` of the tables (None: all), consecutive in each series.

    The rows of the series before them may be inputs of the first windows: they are known by the time of prediction. So
    every row of a split is a target, and no row is a target in two splits. The ``rows`` of the result are those at
    which windows begin. ``split`` is its name; ``unseen``: as in
    ``Transform.rows``.

    Raises: SettingError if the rows are too few for one window; DataError for a value that cannot be used.
    """
    window = transform.window
    assert window is not None
    if tables.panel is None:
        tables = _in_order(tables, window, Times(transform.day_first))
    inputs, targets, panel = tables.inputs, tables.targets, tables.panel
    assert panel is not None
    place = inputs.name if rows is None else f"the {split} split of {inputs.name}"
    if rows is not None:
        _check_season(panel, window, inputs.name)
    pieces = [_Piece.of(part, rows, window) for part in panel.parts]
    _check_lengths(pieces, panel, window, rows, place)
    chosen = np.concatenate([piece.rows for piece in pieces])
    done = np.cumsum([0, *(len(piece.rows) for piece in pieces)])
    starts = np.concatenate([begin + piece.starts for begin, piece in zip(done[:-1], pieces, strict=True)])
    values = transform.rows(inputs, chosen, dtype=dtype, unseen=unseen)
    after = transform.targets(targets, chosen, dtype=dtype)
    made = Windows(values, starts, window.length, transform.input_shape, values.dtype)
    width = window.horizon * after.shape[1]
    wanted = Windows(after, starts + window.length, window.horizon, (width,), after.dtype)
    exact = transform.exact_targets(targets, chosen, after)
    if exact is not None:
        exact = Windows(exact, starts + window.length, window.horizon, (width,), exact.dtype)[:]
    first = np.repeat(panel.begins[:-1], [len(piece.starts) for piece in pieces])
    baselines = _baselines(transform, targets, chosen[starts], first)
    return Split(made, wanted[:], inputs.numbers(chosen[starts]), baselines=baselines, exact=exact)


class _Piece(Struct, eq=False):
    """A part of a series. ``own``: rows to predict; ``rows``: these and the known rows before them; ``starts``: the
    first row of each window, among ``rows``.
    """

    own: Indices
    rows: Indices
    starts: Indices

    @classmethod
    def of(cls, part: range, rows: Rows, window: WindowSettings) -> _Piece:
        """The part among ``rows`` (sorted; None: all) of the series with rows ``part``."""
        own = np.arange(part.start, part.stop)
        if rows is not None:
            own = rows[np.searchsorted(rows, part.start) : np.searchsorted(rows, part.stop)]
        if not len(own):
            return cls(own, own, own)
        chosen = np.arange(max(own[0] - window.length, part.start), own[-1] + 1)
        return cls(own, chosen, _starts(len(chosen), window.length + window.horizon, window.stride))


def _check_season(panel: Panel, window: WindowSettings, name: str) -> None:
    """Raise SettingError for a season at least as long as every series."""
    longest = int(np.diff(panel.begins).max())
    if window.season is not None and window.season >= longest:
        what = name if len(panel.names) == 1 else f"the longest series of {name}"
        reason = f"a season of {window.season} rows is at least as long as {what}, which has {longest}"
        raise SettingError([(("data", "window", "season"), f"{reason}: no two rows are a season apart; leave it out")])


def _starts(rows: int, size: int, stride: int) -> Indices:
    return np.arange(0, rows - size + 1, stride)


def _check_lengths(pieces: Sequence[_Piece], panel: Panel, window: WindowSettings, rows: Rows, place: str) -> None:
    """Warn of series that are too short for a window. Raises: SettingError if all are."""
    without = [name for name, piece in zip(panel.names, pieces, strict=True) if not len(piece.starts)]
    needed = f"a window takes {window.length + window.horizon}: length {window.length} and horizon {window.horizon}"
    if not without:
        return
    if len(without) == len(pieces):
        piece = max(pieces, key=lambda piece: len(piece.rows))
        own, past = len(piece.own), len(piece.rows) - len(piece.own)
        where = "" if len(pieces) == 1 else f"each of the {len(pieces):,} groups in "
        has = f"{place} has {'' if len(pieces) == 1 else 'at most '}{plural(own, 'row')}"
        has += f" and {past} before" if past else ""
        ways_out = "give more rows" if rows is None else "give more rows, make windows shorter, or change data.split"
        raise SettingError([(("data", "window"), f"{where}{has}, and {needed}; {ways_out}")])
    _warn_of_short(place, without, len(pieces), needed)


def _warn_of_short(place: str, without: Sequence[str], groups: int, needed: str) -> None:
    named = listing((show(name) for name in without), 5)
    warn(f"{place}: {len(without):,} of {groups:,} groups ({named}) have too few rows for an example, and {needed}")


def _baselines(transform: Transform, targets: Table, starts: Indices, first: Indices) -> dict[str, Floats]:
    """Predictions without a network, float64 (examples, horizon * targets) in the targets' own unit.

    ``last_value``: the targets of a window's last row. ``seasonal``: those of the last row that is not after the window
    and a whole number of seasons before the predicted row; NaN if that is before the ``first`` row of the window's
    series.
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
        known = np.where((row >= first[:, None])[..., None], numbers[np.maximum(row, 0)], np.nan)
        found[name] = known.reshape(len(starts), -1)
    return found


def windows_of(pieces: Iterable[Array], transform: Transform, name: str, largest: int | None = None) -> Iterator[Array]:
    """Inputs (windows, *input_shape) from rows in ``pieces`` (rows, width): a window for each row that completes one.

    It yields at most ``largest`` windows at a time, and holds them in memory with all their rows.

    Raises: SettingError if the rows are too few for a window. ``name`` is their name in messages.
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
        raise too_short(name, seen, length)


def window_starts(panel: Panel, window: WindowSettings, name: str) -> Indices:
    """The first row of each complete window: one for each row that completes a window.

    Warns of series that are too short. Raises: SettingError if all are.
    """
    found = [part.start + _starts(len(part), window.length, 1) for part in panel.parts]
    without = [group for group, starts in zip(panel.names, found, strict=True) if not len(starts)]
    if len(without) == len(found):
        longest = int(np.diff(panel.begins).max(initial=0))
        raise too_short(name if len(found) == 1 else f"the longest group of {name}", longest, window.length)
    if without:
        _warn_of_short(name, without, len(found), f"a window takes {window.length}")
    return np.concatenate(found)


def all_windows(table: Table, transform: Transform, dtype: DTypeLike, name: str) -> tuple[Array, Indices]:
    """Inputs (windows, *input_shape) of all complete windows of a table, and their places in the file."""
    assert transform.window is not None
    table, panel = in_order(table, transform.window, Times(transform.day_first))
    starts = window_starts(panel, transform.window, name)
    return windows_at(starts, transform.rows(table, dtype=dtype), transform), table.numbers(starts)


def windows_at(starts: Indices, rows: Array, transform: Transform) -> Array:
    """Inputs (starts, *input_shape) from rows (rows, width)."""
    assert transform.window is not None
    return Windows(rows, starts, transform.window.length, transform.input_shape, rows.dtype)[:]


def too_short(name: str, rows: int, length: int) -> SettingError:
    """The error for too few rows for a window."""
    reason = f"{name} has {plural(rows, 'row')}, and a window takes {length}; give more rows"
    return SettingError([(("data", "window"), reason)])
