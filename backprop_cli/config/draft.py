"""A configuration for a table, as text: its data, a preset's network, and comments on what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backprop_cli.config.presets import DEFAULT, PRESETS, Preset, preset_of, series_network
from backprop_cli.config.ready import quoted
from backprop_cli.config.series_facts import Series
from backprop_cli.config.table_facts import Facts, Spelled
from backprop_cli.data.refusals import setting
from backprop_cli.data.settings import INPUTS
from backprop_cli.data.table import show
from backprop_cli.errors import joined, listing, plural
from backprop_cli.nn.task import REGRESSION

_WORDS = {"all", "false", INPUTS, "none", "null", "true"}
"""Names of columns that would mean something else without quotes."""


def draft(facts: Facts, source: str, preset: str = DEFAULT) -> str:
    """A configuration for the table of the file ``source``, with the network of ``preset``.

    Raises: UsageError if there is no such preset.
    """
    network, used = preset_of(preset, facts), facts.used
    data = [
        *_missing_target(facts),
        *_exclusion(facts.useless),
        *_names(facts.names),
        *_numbers(facts.spelled),
        *([] if facts.holds_out else ["  split: none  # too few rows to hold some out for validation and test"]),
        *_transform(facts.gaps, {**({"missing": "indicator"} if facts.gaps else {}), **network.transform}),
    ]
    others = joined([name for name in PRESETS if name != preset], "or")
    about = [f"# Preset {preset}: {network.about}.", f"# bp init --preset writes {others}."]
    inputs = f"from {plural(len(used), 'column')} of {facts.rows:,} rows: {listing(map(show, used))}"
    advice = "# Add columns that a new row will not have to data.exclude."
    return _written(facts, source, [f"# Predicts {_phrase(facts)} {inputs}.", advice], data, about, network)


def draft_series(facts: Facts, series: Series, source: str) -> str:
    """A configuration that predicts the next row of a series."""
    network = series_network(facts)
    keys = {"length": series.length, "season": series.season, "time": _column_name(series.time)}
    keys |= {"group": None if series.group is None else _column_name(series.group)}
    window = ", ".join(f"{key}: {value}" for key, value in keys.items() if value is not None)
    gaps = {name: count for name, count in facts.gaps.items() if name in series.features}
    data = [
        f"  features: [{', '.join(map(_column_name, series.features))}]  # of the rows before",
        f"  window: {{{window}}}  # an example is {series.length} rows",
        *_numbers({name: ways for name, ways in facts.spelled.items() if name in (*series.features, series.time)}),
        *_transform(gaps, {"missing": "median"} if gaps else {}),
    ]
    first = [
        f"# Predicts {show(facts.target.name)} a {series.step} ahead, from the {series.length} rows before.",
        "# data.window.horizon: 2 predicts two rows. For a table whose rows stand alone: bp init --task regression.",
    ]
    return _written(facts, source, first, data, [f"# The network: {network.about}."], network)


def _written(
    facts: Facts, source: str, first: Sequence[str], data: Sequence[str], about: Sequence[str], network: Preset
) -> str:
    target = facts.target
    lines = [
        *first,
        "data:",
        f"  source: {source}",
        f"  target: {_target_name(target.name)}{f'  # {target.reason}' if target.reason else ''}",
        *data,
        "",
        *about,
        "model:",
        "  layers:",
        *(f"    - {line.replace(chr(10), f'{chr(10)}      ')}" for line in network.layers),
        "",
        *network.learning,
        f"gradient_check: {network.check}",
    ]
    return "\n".join(lines) + "\n"


def _phrase(facts: Facts) -> str:
    what = "a number" if facts.task == REGRESSION else f"{len(facts.classes)} classes"
    return f"{show(facts.target.name)} ({what})"


def _column_name(name: str) -> str:
    """A column's name as YAML writes it."""
    plain = name.isidentifier() and name.lower() not in _WORDS
    return name if plain else quoted(name)


def _target_name(name: str) -> str:
    return f"[{_column_name(name)}]" if name == INPUTS else _column_name(name)


def _missing_target(facts: Facts) -> list[str]:
    """The line that drops rows without a target."""
    dropped = facts.without_target
    return [f"  missing_target: drop  # {plural(dropped, 'row')} without a target"] if dropped else []


def _exclusion(useless: Mapping[str, str]) -> list[str]:
    """The lines that leave columns out, with the reasons."""
    if not useless:
        return []
    reasons = [f"  # {show(name)} {reason}" for name, reason in useless.items()]
    return [*reasons, f"  exclude: [{', '.join(map(_column_name, useless))}]"]


def _names(names: Sequence[str]) -> list[str]:
    """The line that reads numbers as categories."""
    return [f"  categories: [{', '.join(map(_column_name, names))}]  # numbers that are names"] if names else []


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


def _transform(gaps: Mapping[str, int], keys: Mapping[str, str]) -> list[str]:
    """The line that turns columns into inputs."""
    comment = f"  # {plural(len(gaps), 'column')} with missing values" if gaps else ""
    return [f"  transform: {{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}{comment}"] if keys else []
