"""A configuration for a table, as text: its data, a preset's network, and comments on what was seen."""

from __future__ import annotations

from collections.abc import Mapping

from backprop_cli.config.presets import DEFAULT, PRESETS, preset_of
from backprop_cli.config.ready import quoted
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
    network, target = preset_of(preset, facts), facts.target
    layers = [f"    - {line.replace(chr(10), f'{chr(10)}      ')}" for line in network.layers]
    lines = [
        f"# Predicts {_phrase(facts)} from {plural(len(facts.used), 'column')} of {facts.rows:,} rows: "
        f"{listing(map(show, facts.used))}.",
        "# Add columns that a new row will not have to data.exclude.",
        "data:",
        f"  source: {source}",
        f"  target: {_target_name(target.name)}{f'  # {target.reason}' if target.reason else ''}",
        *_missing_target(facts),
        *_exclusion(facts.useless),
        *_numbers(facts.spelled),
        *([] if facts.holds_out else ["  split: none  # too few rows to hold some out for validation and test"]),
        *_transform(facts, network.transform),
        "",
        f"# Preset {preset}: {network.about}.",
        f"# bp init --preset writes {_others(preset)}.",
        "model:",
        "  layers:",
        *layers,
        "",
        *network.learning,
        "gradient_check: {}",
    ]
    return "\n".join(lines) + "\n"


def _others(preset: str) -> str:
    return joined([name for name in PRESETS if name != preset], "or")


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


def _transform(facts: Facts, keys: Mapping[str, str]) -> list[str]:
    """The line that turns columns into inputs."""
    keys = {**({"missing": "indicator"} if facts.gaps else {}), **keys}
    comment = f"  # {plural(len(facts.gaps), 'column')} with missing values" if facts.gaps else ""
    return [f"  transform: {{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}{comment}"] if keys else []
