"""Categories that the train split lacks: errors, or a counted warning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from backprop_cli.data.refusals import in_yaml
from backprop_cli.data.table import show
from backprop_cli.errors import DataError, listing, plural, warn


class CategoryError(DataError):
    """Categories or a class at a ``place`` that cannot be used, the ``fault``, and a way out.

    ``column``: the column of the categories. ``more``: the end of the fault, for a column that is not useless.
    """

    def __init__(self, place: str, fault: str, way_out: str, column: str | None = None, more: str = ""):
        self.place, self.fault, self.column, self._short = place, fault + more, column, fault
        super().__init__(f"{place}: {self.fault}; {way_out}")

    def useless(self, why: str, others: Mapping[str, str] = MappingProxyType({})) -> str:
        """The message if the whole column is useless as categories: the cause, then the way out.

        ``others``: further columns to leave out, with the reasons.
        """
        reasons = "".join(f"; column '{name}' {reason}" for name, reason in others.items())
        exclude = ", ".join(map(in_yaml, [self.column or "", *others]))
        way_out = f"train without {'them' if others else 'it'} (data.exclude: [{exclude}])"
        return f"{self.place}: {self._short}: the column {why}{reasons}: {way_out}"


class UnseenError(CategoryError):
    """A category or class that the train split lacks.

    ``known``: those that it has. ``here``: the way out if the value is in the same file as the train split. ``column``:
    the category's column.
    """

    def __init__(
        self, place: str, fault: str, known: Iterable[str], way_out: str, here: str, column: str | None = None
    ):
        self.here = here
        super().__init__(place, fault, way_out, column, f", which has {listing(known)}")


class Unseen:
    """Counts categories that the train split lacks and the network reads as other, for one warning a column."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._first: dict[str, str] = {}

    def add(self, column: str, place: str, counts: Mapping[str, int]) -> None:
        """Count more rows. ``place``: the first of them, for the head of a message."""
        self._first.setdefault(column, place)
        self._counts.setdefault(column, Counter()).update(counts)

    def warn(self) -> None:
        """Warn once of each column, with its values."""
        for column, counts in self._counts.items():
            values = listing((f"{show(value)} ({count:,})" for value, count in counts.most_common()), 5)
            rows = plural(counts.total(), "row")
            warn(f"{self._first[column]}: {rows} with a category that the train split lacks, read as other: {values}")
