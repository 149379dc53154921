"""A first configuration for a table: what to predict, from which columns, and a small network for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from backprop_cli.config.ready import quoted
from backprop_cli.data.file import DataFile
from backprop_cli.data.read import read_table
from backprop_cli.data.reading import NumbersByColumn, NumberSettings, Reading
from backprop_cli.data.refusals import SpellingError, setting
from backprop_cli.data.settings import INPUTS
from backprop_cli.data.spelling import Spelling
from backprop_cli.data.suspicious import why_useless
from backprop_cli.data.table import CellValue, Column, Numbers, Table, Text, require_columns, show
from backprop_cli.data.target import MAX_CLASSES, labels_of, require_classes
from backprop_cli.errors import DataError, SettingError, UsageError, listing, plural
from backprop_cli.nn.class_name import spelled
from backprop_cli.nn.task import BINARY, CLASSES, REGRESSION, Task, task_of
from backprop_cli.visible import one_line

Spelled = Mapping[str, tuple[Spelling, ...]]
"""The spellings of numbers of some columns. The first is used; a second one would also read the column."""

_LOSSES: Mapping[Task, str] = {
    CLASSES: "cross_entropy",
    BINARY: "binary_cross_entropy",
    REGRESSION: "mean_squared_error",
}
_METRICS: Mapping[Task, str] = {
    CLASSES: "[accuracy]",
    BINARY: "[accuracy, roc_auc]",
    REGRESSION: "[root_mean_squared_error, mean_absolute_error, r2]",
}
_ROWS_PER_CLASS = 10
"""Fewest rows for each whole number, on average, if these numbers are classes."""
_FEW_ROWS = 20
"""Fewest rows of a table that is split."""
_TRAIN = 0.7
"""Share of the train split."""
_SURE_ROWS = 5
"""Fewest rows of a category that the train split hardly ever lacks: it has 70 % of the rows, and 0.3^5 is 0.2 %."""
_MANY_ROWS = 10_000
_WORDS = {"all", "false", INPUTS, "none", "null", "true"}
"""Names of columns that would mean something else without quotes."""


class Draft(NamedTuple):
    """A configuration as text, and what it predicts."""

    text: str
    target: str
    task: Task


def draft(
    table: Table,
    source: str,
    target: str | None = None,
    task: str | None = None,
    unusable: Mapping[str, str] = MappingProxyType({}),
    numbers: Spelled = MappingProxyType({}),
) -> Draft:
    """A configuration for the table of the file ``source``.

    ``target``: the column to predict; default: the last. ``task``: ``classes``, ``binary`` or ``regression``; default:
    as the target's values are. ``unusable``: more columns to leave out, with the reasons. ``numbers``: the spellings
    with which the table was read, from ``read_spelled``.

    Raises: UsageError if target or task do not fit the table; DataError if a target is missing.
    """
    chosen = list(table.columns)[-1] if target is None else target
    if task is not None and task not in _LOSSES:
        raise UsageError(f"--task: unknown task '{task}'; known: {', '.join(_LOSSES)}")
    if "" in table.columns:
        raise UsageError(f"{table.name}: a column has no name, and a configuration cannot hold an empty one; name it")
    _check_target(table, chosen)
    labels = _labels(table, chosen, guessed=target is None)
    kind = _task(table, chosen, labels) if task is None else task_of(task)
    holds_out = table.rows >= _FEW_ROWS and (not kind.has_classes or 2 * len(labels) <= table.rows)
    _check_task(table, chosen, labels, kind, int(_TRAIN * table.rows) if holds_out else table.rows)
    used, useless = _features(table, chosen, unusable)
    lines = [
        f"# Predicts {_phrase(chosen, labels, kind)} from {plural(len(used), 'column')} of {table.rows:,} rows: "
        f"{listing(map(show, used))}.",
        "# Add columns that a new row will not have to data.exclude.",
        "data:",
        f"  source: {source}",
        f"  target: {_target_name(chosen)}{'' if target else '  # the last column'}",
        *_exclusion(useless),
        *(_rare(table, used) if holds_out else []),
        *_numbers({name: ways for name, ways in numbers.items() if name not in useless}),
        *([] if holds_out else ["  split: none  # too few rows to hold some out for validation and test"]),
        *_transform(table, used),
        "",
        *_network(chosen, labels, kind),
        f"training: {{epochs: 200, batch_size: {32 if table.rows < _MANY_ROWS else 256}}}",
        *(["early_stopping: {patience: 20}  # epochs without a better validation/loss"] if holds_out else []),
        "gradient_check: {}",
    ]
    return Draft("\n".join(lines) + "\n", chosen, kind)


def read_spelled(path: Path) -> tuple[Table, Spelled]:
    """The table of a file, and the columns with numbers in another spelling, with those spellings.

    Raises: DataError.
    """
    found: dict[str, tuple[Spelling, ...]] = {}
    while True:
        chosen = {name: NumberSettings(**asdict(first)) for name, (first, *_) in found.items()}
        try:
            return read_table(DataFile(path), reading=Reading(NumbersByColumn(chosen) or None)), found
        except SpellingError as error:
            new = {name: spellings for name, spellings in error.spellings.items() if spellings}
            if not new:
                raise
            found |= new


def _rare(table: Table, used: Sequence[str]) -> list[str]:
    """Comments on columns with categories that the train split may lack, since few rows have them."""
    lines = []
    for name in used:
        column = table.columns[name]
        if isinstance(column, Text):
            counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.categories))
            rarest = int(np.argmin(counts))
            if counts[rarest] < _SURE_ROWS:
                example = f"{show(column.categories[rarest])} in {plural(int(counts[rarest]), 'row')}"
                lines.append(f"  # {show(name)} has rare categories ({example}): another seed may hold all of them out")
    return lines


def _numbers(numbers: Spelled) -> list[str]:
    """The lines that say how columns spell numbers."""
    if not numbers:
        return []
    others = [
        f"  # or {_column_name(name)}: {setting(other)} if that is its mark"
        for name, (_, *rest) in numbers.items()
        for other in rest
    ]
    ways = ", ".join(f"{_column_name(name)}: {setting(first)}" for name, (first, *_) in numbers.items())
    return [f"  numbers: {{{ways}}}  # as the file spells them", *others]


def _network(target: str, labels: Sequence[CellValue], task: Task) -> list[str]:
    """The lines of the network, and how it learns the task."""
    outputs, comment = _outputs(target, labels, task)
    return [
        "model:",
        "  layers:",
        "    - {type: dense, units: 32, activation: relu, initializer: he_normal}",
        f"    - {{type: dense, units: {outputs}}}  # {comment}",
        "",
        f"loss: {_LOSSES[task]}",
        "optimizer: {type: adam, learning_rate: 3e-3}",
        f"metrics: {_METRICS[task]}",
    ]


def _features(table: Table, target: str, unusable: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The columns to predict from, and those to leave out, with the reasons."""
    names = [name for name in table.columns if name != target]
    useless = {name: reason for name in names if (reason := _why_useless(table.columns[name]))}
    useless |= {name: one_line(reason) for name, reason in unusable.items()}
    used = [name for name in names if name not in useless]
    if not used:
        reasons = "".join(f"; '{name}' {reason}" for name, reason in useless.items())
        is_series = useless and not unusable
        series = "; a series needs data.window, as in the template airline" if is_series else ""
        raise UsageError(f"{table.name}: no column is left to predict '{target}' from{reasons}{series}")
    return used, useless


def _column_name(name: str) -> str:
    """A column's name as YAML writes it."""
    plain = name.isidentifier() and name.lower() not in _WORDS
    return name if plain else quoted(name)


def _labels(table: Table, target: str, *, guessed: bool) -> list[CellValue]:
    """The distinct values of the target: numbers by value, then texts."""
    try:
        found, _ = labels_of(table, target, None)
    except DataError as error:
        raise DataError(f"{error}, or name another column with --target") if guessed else error from None
    return sorted(found, key=lambda label: (isinstance(label, str), label))


def _target_name(name: str) -> str:
    return f"[{_column_name(name)}]" if name == INPUTS else _column_name(name)


def _check_target(table: Table, target: str) -> None:
    try:
        require_columns(table.name, [target], table.columns)
    except DataError as error:
        raise UsageError(f"--target: {error}") from None
    reason = _why_useless(table.columns[target])
    if reason is not None:
        raise UsageError(f"{table.of(target)} {reason}; name the column to predict with --target")


def _task(table: Table, target: str, labels: Sequence[CellValue]) -> Task:
    """The task that suits the values of the target."""
    if isinstance(table.columns[target], Text):
        return BINARY if len(labels) == 2 else CLASSES
    if set(labels) == {0, 1}:
        return BINARY
    whole = all(isinstance(label, int) for label in labels)
    few = len(labels) <= min(MAX_CLASSES, table.rows / _ROWS_PER_CLASS)
    return CLASSES if whole and few else REGRESSION


def _check_task(table: Table, target: str, labels: Sequence[CellValue], task: Task, train: int) -> None:
    """Raise UsageError if the values of the target do not suit the task. ``train``: number of rows to train on."""
    place = table.of(target)
    if len(labels) == 1:
        raise UsageError(f"{place} is {_quoted(labels[0])} in every row; name the column to predict with --target")
    text = next((label for label in labels if isinstance(label, str)), None)
    if task == REGRESSION and text is not None:
        raise UsageError(f"{place} has texts, such as {show(text)}, and --task regression predicts a number")
    if task == BINARY and (len(labels) != 2 or (text is None and set(labels) != {0, 1})):
        known = ", ".join(map(_quoted, labels[:5])) + (", ..." if len(labels) > 5 else "")
        raise UsageError(f"{place}: --task binary predicts 0 and 1, or two names; its values are {known}")
    if task == CLASSES:
        try:
            require_classes(table, target, labels, train)
        except SettingError:
            number = "" if text is not None else "--task regression predicts a number, "
            raise UsageError(
                f"{place} has {len(labels):,} different values in {table.rows:,} rows, too many for classes; "
                f"{number}--target names another column"
            ) from None


def _why_useless(column: Column) -> str | None:
    """The reason why a column tells nothing of other rows; None if it may."""
    if isinstance(column, Numbers):
        values = np.asarray(column.values, np.float64).reshape(column.rows)
        if np.isnan(values).all():
            return "is empty"
        with np.errstate(over="ignore", invalid="ignore"):
            return "counts the rows" if column.rows > 2 and (np.diff(values) == 1).all() else None
    return "is empty" if (column.codes < 0).all() else why_useless(column)


def _is_incomplete(column: Column) -> bool:
    return bool(np.isnan(column.values).any() if isinstance(column, Numbers) else (column.codes < 0).any())


def _exclusion(useless: Mapping[str, str]) -> list[str]:
    """The lines that leave columns out, with the reasons."""
    if not useless:
        return []
    reasons = [f"  # {show(name)} {reason}" for name, reason in useless.items()]
    return [*reasons, f"  exclude: [{', '.join(map(_column_name, useless))}]"]


def _transform(table: Table, used: Sequence[str]) -> list[str]:
    """The line that fills in missing values."""
    incomplete = [name for name in used if _is_incomplete(table.columns[name])]
    comment = f"  # {plural(len(incomplete), 'column')} with missing values"
    return [f"  transform: {{missing: median}}{comment}"] if incomplete else []


def _phrase(target: str, labels: Sequence[CellValue], task: Task) -> str:
    return f"{show(target)} ({'a number' if task == REGRESSION else f'{len(labels)} classes'})"


def _outputs(target: str, labels: Sequence[CellValue], task: Task) -> tuple[int, str]:
    """The number of outputs, and the comment that explains it."""
    if task == REGRESSION:
        return 1, "one output, without activation: a number"
    if task == BINARY:
        return 1, f"one output: whether {show(target)} is {_quoted(labels[1])}"
    return len(labels), "one output for each class"


def _quoted(label: CellValue) -> str:
    return show(label) if isinstance(label, str) else spelled(label)
