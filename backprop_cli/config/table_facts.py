"""What a table is: the column to predict, the kinds of the others, what is missing, and what says nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from backprop_cli.data.dated import holds_dates
from backprop_cli.data.file import DataFile
from backprop_cli.data.read import read_table
from backprop_cli.data.reading import NumbersByColumn, NumberSettings, Reading
from backprop_cli.data.refusals import SpellingError
from backprop_cli.data.spelling import Spelling
from backprop_cli.data.suspicious import is_identifier, why_useless
from backprop_cli.data.table import CellValue, Column, Numbers, Table, Text, is_missing, require_columns, show
from backprop_cli.data.target import MAX_CLASSES, labels_of, require_classes
from backprop_cli.errors import DataError, SettingError, UsageError, did_you_mean
from backprop_cli.nn.class_name import spelled
from backprop_cli.nn.task import BINARY, CLASSES, REGRESSION, Task, task_of
from backprop_cli.visible import one_line

Spelled = Mapping[str, tuple[Spelling, ...]]
"""The spellings of numbers of some columns. The first is used; a second one would also read the column."""

TASKS: tuple[Task, ...] = (CLASSES, BINARY, REGRESSION)
NUMBERS, DATES, CATEGORIES = KINDS = ("numbers", "dates", "categories")
TARGETS = (
    "target", "label", "labels", "class", "classes", "outcome", "response", "species", "diagnosis", "survived", "churn",
    "churned", "attrition", "default", "status", "purchase", "purchased", "price", "saleprice", "medianhousevalue",
    "medv", "salary", "wage", "income", "sales", "quality", "digit", "y",
)  # fmt: skip
"""Usual names of the column to predict, without case, spaces and signs. Earlier ones are preferred."""
_IDENTIFIER = re.compile(r"(?:^|[ _.-])(?:[iI][dD]|(?i:key|index|row|unnamed.*))$|[a-z](?:Id|ID|Key)$")
"""Names of columns whose whole numbers identify rows, if few are equal: ``id``, ``customer_id``, ``PatientID``."""
_NAMES = re.compile(r"(?:^|[ _.-])(?i:id|code|zip|zipcode|postcode|plz)$|[a-z](?:Id|ID|Code)$")
"""Names of columns whose whole numbers are names of groups, if they are few."""
_MOST_NAMES = 50
_ROWS_PER_NAME = 10
_ROWS_PER_CLASS = 10
"""Fewest rows for each whole number, on average, if these numbers are classes."""
_FEW_ROWS = 20
"""Fewest rows of a table that is split."""
_TRAIN = 0.7
"""Share of the train split."""


class Choice(NamedTuple):
    """The column to predict, and why this one: ``by its name``; empty if it was given."""

    name: str
    reason: str


class Facts(NamedTuple):
    """What a configuration of a table needs to know."""

    table: Table
    target: Choice
    task: Task
    classes: Mapping[CellValue, int]
    """The classes in the order of the outputs, with their rows; of a number to predict empty."""
    columns: Mapping[str, Sequence[str]]
    """The inputs by kind: ``numbers``, ``dates``, ``categories``."""
    names: Sequence[str]
    """The categories that are numbers in the file."""
    useless: Mapping[str, str]
    """Columns that are left out, with the reasons."""
    gaps: Mapping[str, int]
    """Inputs with missing values, and how many."""
    rows: int
    """Rows that have a target."""
    holds_out: bool
    """Whether there are enough rows for splits."""
    spelled: Spelled

    @property
    def used(self) -> list[str]:
        """The inputs in the file's order."""
        chosen = {name for names in self.columns.values() for name in names}
        return [name for name in self.table.columns if name in chosen]

    @property
    def train(self) -> int:
        """Rows of the train split."""
        return int(_TRAIN * self.rows) if self.holds_out else self.rows

    @property
    def without_target(self) -> int:
        """Rows to drop."""
        return self.table.rows - self.rows


def facts_of(
    table: Table,
    target: str | None = None,
    task: str | None = None,
    unusable: Mapping[str, str] = MappingProxyType({}),
    numbers: Spelled = MappingProxyType({}),
) -> Facts:
    """What ``table`` is. ``target``: the column to predict; default: one with a usual name, else the last that can be.

    ``task``: ``classes``, ``binary`` or ``regression``; default: as the target's values are. ``unusable``: more columns
    to leave out, with the reasons. ``numbers``: the spellings with which the table was read, from ``read_spelled``.

    Raises: UsageError if target or task do not fit the table; DataError if no row has a target.
    """
    if task is not None:
        require_known("task", task, TASKS)
    if "" in table.columns:
        raise UsageError(f"{table.name}: a column has no name, and a configuration cannot hold an empty one; name it")
    chosen = _choice(table) if target is None else Choice(target, "")
    _check_target(table, chosen.name)
    known = np.flatnonzero(~is_missing(table.columns[chosen.name]))
    labels, codes = labels_of(table, chosen.name, known)
    order = sorted(range(len(labels)), key=lambda code: (isinstance(labels[code], str), labels[code]))
    counts = np.bincount(codes, minlength=len(labels))
    classes = {labels[code]: int(counts[code]) for code in order}
    kind = _task(table, chosen.name, [*classes], len(known)) if task is None else task_of(task)
    holds_out = len(known) >= _FEW_ROWS and (not kind.has_classes or 2 * len(labels) <= len(known))
    _check_task(table, chosen.name, [*classes], kind, int(_TRAIN * len(known)) if holds_out else len(known))
    used, useless = _features(table, chosen.name, unusable)
    kinds = {name: _kind(name, table.columns[name]) for name in used}
    gaps = {name: int(np.count_nonzero(is_missing(table.columns[name]))) for name in used}
    return Facts(
        table,
        chosen,
        kind,
        classes if kind.has_classes else {},
        {each: [name for name in used if kinds[name] == each] for each in KINDS},
        [name for name in used if kinds[name] == CATEGORIES and isinstance(table.columns[name], Numbers)],
        useless,
        {name: count for name, count in gaps.items() if count},
        len(known),
        holds_out,
        {name: ways for name, ways in numbers.items() if name not in useless},
    )


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


def require_known(option: str, name: str, known: Collection[str]) -> None:
    """Raise UsageError unless ``--option`` has one of the known values."""
    if name not in known:
        hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
        raise UsageError(f"--{option}: unknown {option} '{name}'{hint}")


def label_text(label: CellValue) -> str:
    """A class in a sentence: texts in quotes."""
    return show(label) if isinstance(label, str) else spelled(label)


def _choice(table: Table) -> Choice:
    """The column to predict: the first usual name that the table has, else the last column that can be predicted."""
    plain = {re.sub(r"[\W_]+", "", name).lower(): name for name in reversed([*table.columns])}
    usable = [name for name, column in table.columns.items() if _why_useless(name, column) is None]
    for usual in TARGETS:
        if plain.get(usual) in usable and not (usual == "y" and "x" in plain):  # coordinates
            return Choice(plain[usual], "by its name")
    last = [*table.columns][-1]
    if not usable or usable[-1] == last:
        return Choice(last, "the last column")
    return Choice(usable[-1], "the last column that can be predicted")


def _kind(name: str, column: Column) -> str:
    if isinstance(column, Numbers):
        return CATEGORIES if _NAMES.search(name) and _are_names(column) else NUMBERS
    return DATES if holds_dates(column) else CATEGORIES


def _are_names(column: Numbers) -> bool:
    """Whether numbers may be names of groups: a few whole numbers."""
    distinct = np.unique(column.values[~is_missing(column)])
    few = 2 < len(distinct) <= min(_MOST_NAMES, column.rows / _ROWS_PER_NAME)
    return column.values.ndim == 1 and few and bool((distinct == np.rint(distinct)).all())


def _features(table: Table, target: str, unusable: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The columns to predict from, and those to leave out, with the reasons."""
    names = [name for name in table.columns if name != target]
    useless = dict(_useless(table, names)) | {name: one_line(reason) for name, reason in unusable.items()}
    used = [name for name in names if name not in useless]
    if not used:
        reasons = "".join(f"; '{name}' {reason}" for name, reason in useless.items())
        raise UsageError(f"{table.name}: no column is left to predict '{target}' from{reasons}")
    return used, useless


def _useless(table: Table, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        column = table.columns[name]
        reason = None if holds_dates(column) else _why_useless(name, column)
        if reason is not None:
            yield name, reason


def _why_useless(name: str, column: Column) -> str | None:
    """The reason why a column tells nothing of other rows; None if it may."""
    if is_missing(column).all():
        return "is empty"
    if isinstance(column, Text):
        known = np.unique(column.codes[column.codes >= 0])
        if len(known) == 1 and not is_missing(column).any():
            return f"is {show(column.categories[known[0]])} in every row"
        return why_useless(column)
    values = np.asarray(column.values, np.float64).reshape(column.rows, -1)
    if not np.isnan(values).any() and (values == values[0]).all():
        return f"is {values.flat[0]:.15g} in every row"
    if values.size != column.rows:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        if column.rows > 2 and (np.diff(values[:, 0]) == 1).all():
            return "counts the rows"
    whole = np.isfinite(values).all() and (values == np.rint(values)).all()
    different = len(np.unique(values))
    if whole and _IDENTIFIER.search(name) and is_identifier(different, column.rows):
        return f"is an identifier, with {different:,} different numbers in {column.rows:,} rows"
    return None


def _check_target(table: Table, target: str) -> None:
    try:
        require_columns(table.name, [target], table.columns)
    except DataError as error:
        raise UsageError(f"--target: {error}") from None
    reason = _why_useless("", table.columns[target])
    if reason is not None:
        raise UsageError(f"{table.of(target)} {reason}; name the column to predict with --target")


def _task(table: Table, target: str, labels: Sequence[CellValue], rows: int) -> Task:
    """The task that suits the values of the target."""
    if isinstance(table.columns[target], Text):
        return BINARY if len(labels) == 2 else CLASSES
    if set(labels) == {0, 1}:
        return BINARY
    whole = all(isinstance(label, int) for label in labels)
    few = len(labels) <= min(MAX_CLASSES, rows / _ROWS_PER_CLASS)
    return CLASSES if whole and few else REGRESSION


def _check_task(table: Table, target: str, labels: Sequence[CellValue], task: Task, train: int) -> None:
    """Raise UsageError if the values of the target do not suit the task. ``train``: number of rows to train on."""
    place = table.of(target)
    if len(labels) == 1:
        raise UsageError(f"{place} is {label_text(labels[0])} in every row; name the column to predict with --target")
    text = next((label for label in labels if isinstance(label, str)), None)
    if task == REGRESSION and text is not None:
        raise UsageError(f"{place} has texts, such as {show(text)}, and --task regression predicts a number")
    if task == BINARY and (len(labels) != 2 or (text is None and set(labels) != {0, 1})):
        known = ", ".join(map(label_text, labels[:5])) + (", ..." if len(labels) > 5 else "")
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
