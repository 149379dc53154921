"""Networks for tables: each preset is a function from the facts of a table to the text of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from backprop_cli.config.ready import quoted
from backprop_cli.config.table_facts import CATEGORIES, DATES, NUMBERS, Facts, label_text, require_known
from backprop_cli.data.table import show
from backprop_cli.nn.task import BINARY, CLASSES, REGRESSION, Task

DEFAULT = "strong"
LOSSES: Mapping[Task, str] = {
    CLASSES: "cross_entropy",
    BINARY: "binary_cross_entropy",
    REGRESSION: "mean_squared_error",
}
METRICS: Mapping[Task, str] = {
    CLASSES: "[accuracy]",
    BINARY: "[accuracy, roc_auc]",
    REGRESSION: "[root_mean_squared_error, mean_absolute_error, r2]",
}
_BATCHES = ((1000, 32), (3000, 64), (10_000, 128))
"""Batch sizes, each below a number of train rows; above all of them 256."""
_MANY_ROWS = 20_000
"""Fewest train rows on which an ensemble has fewer members, so that it learns in minutes."""
_MANY_WIDE = 3000
"""Most outputs of the encodings of all columns of numbers."""


class Preset(NamedTuple):
    """A network and how it is trained, as lines of YAML.

    ``about``: what it is, in a few words. ``transform``: the keys of ``data.transform``.
    ``check``: those of ``gradient_check``, by default for large networks.
    """

    about: str
    layers: Sequence[str]
    learning: Sequence[str]
    transform: Mapping[str, str] = MappingProxyType({})
    check: str = "{samples: 8}"


def preset_of(name: str, facts: Facts) -> Preset:
    """The preset ``name`` for a table. Raises: UsageError if there is no such preset."""
    require_known("preset", name, PRESETS)
    return PRESETS[name](facts)


def series_network(facts: Facts) -> Preset:
    """Small networks that share most of their weights: on short series their mean is much better than one."""
    return Preset(
        "an ensemble of 16 networks that share most weights",
        ["flatten", "{type: dense, units: 64, activation: relu, initializer: he_normal}", _output(facts)],
        [
            f"loss: {LOSSES[facts.task]}",
            "optimizer: {type: adamw, learning_rate: 3e-3, weight_decay: 0.01}",
            f"metrics: {METRICS[facts.task]}",
            f"training: {{epochs: auto, batch_size: {batch_size(facts.train)}, clip_norm: 1.0, members: 16}}",
            *_stopping(facts, 20),
        ],
    )


def batch_size(train: int) -> int:
    """The batch size for a number of train rows."""
    return next((size for rows, size in _BATCHES if train < rows), 256)


def output_comment(facts: Facts) -> str:
    """What the outputs mean."""
    if facts.task == REGRESSION:
        return "one output, without activation: a number"
    if facts.task == BINARY:
        return f"one output: whether {show(facts.target.name)} is {label_text([*facts.classes][1])}"
    return "one output for each class"


def _plain(facts: Facts) -> Preset:
    """One hidden layer: quick, and easy to read."""
    return Preset(
        "one hidden layer of 32 units",
        ["{type: dense, units: 32, activation: relu, initializer: he_normal}", _output(facts)],
        [
            f"loss: {LOSSES[facts.task]}",
            "optimizer: {type: adam, learning_rate: 3e-3}",
            f"metrics: {METRICS[facts.task]}",
            f"training: {{epochs: auto, batch_size: {32 if facts.train < 10_000 else 256}}}",
            *_stopping(facts, 20),
        ],
        {"missing": "median"} if facts.gaps else {},
        check="{}",
    )


def _strong(facts: Facts) -> Preset:
    """Bins of the numbers, then 16 networks that share most of their weights, or 8 where steps are many."""
    count, members = min(48, max(2, facts.train // 30)), 16 if facts.train < _MANY_ROWS else 8
    return Preset(
        f"{_bins(facts)}an ensemble of {members} networks that share most weights",
        [
            *_encoded(facts, f"count: {count}, units: {_width(facts, 12)}, activation: relu"),
            *2 * ["{type: dense, units: 256, activation: relu, initializer: he_normal}", "{type: dropout, rate: 0.1}"],
            _output(facts),
        ],
        [
            f"loss: {LOSSES[facts.task]}",
            "optimizer: {type: adamw, learning_rate: 2e-3, weight_decay: 0.01}",
            f"metrics: {METRICS[facts.task]}",
            f"training: {{epochs: auto, batch_size: {batch_size(facts.train)}, clip_norm: 1.0, members: {members}}}",
            *_stopping(facts, 16),
        ],
    )


def _tabm(facts: Facts) -> Preset:
    """Gorishniy, Kotelnikov & Babenko, TabM (ICLR 2025), section 3, with layers of 256 units in place of 512."""
    count = min(48, max(2, facts.train // 10))
    numbers = f"count: {count}, units: {_width(facts, 16)}, linear_part: true, activation: relu"
    return Preset(
        f"TabM: {_bins(facts)}an ensemble of 32 networks that share most weights",
        [
            *_encoded(facts, numbers, beside="categories"),
            *3 * ["{type: dense, units: 256, activation: relu}", "{type: dropout, rate: 0.1}"],
            _output(facts),
        ],
        [
            f"loss: {LOSSES[facts.task]}",
            "optimizer: {type: adamw, learning_rate: 2e-3, weight_decay: 3e-4}",
            f"metrics: {METRICS[facts.task]}",
            f"training: {{epochs: auto, batch_size: {batch_size(facts.train)}, clip_norm: 1.0, members: 32}}",
            *_stopping(facts, 16),
        ],
        {"numeric": "quantile"},
    )


def _realmlp(facts: Facts) -> Preset:
    """Holzmueller, Grinsztajn & Steinwart, Better by Default (2024), appendix A."""
    is_number = facts.task == REGRESSION
    affine = "parametrization: ntk, initializer: unit_variance, bias_initializer: he_plus"
    keys = "frequencies: 16, sigma: 0.1, phases: true, units: 3, identity: true, initializer: lecun_uniform"
    numbers = [f"{{type: periodic, inputs: numeric, {keys}}}"] if _numbers(facts) else []
    names = ["{type: categorical_embedding, inputs: categories}"] if facts.columns[CATEGORIES] else []
    both = ["{type: concat, inputs: [periodic_1, categorical_embedding_1]}"] if numbers and names else []
    slow = [*(["periodic_1.*"] if numbers else []), "*parametric_activation*"]
    smoothed = "{type: cross_entropy, label_smoothing: 0.1}"
    return Preset(
        "RealMLP, whose settings were tuned on many tables",
        [
            *numbers,
            *names,
            *both,
            "scale  # a factor for each input, learned six times as fast",
            "type: block\nrepeat: 3\nlayers:\n"
            f"  - {{type: dense, units: 256, {affine}}}\n"
            f"  - {{type: parametric_activation, function: {'mish' if is_number else 'selu'}}}\n"
            "  - {type: dropout, rate: 0.15, schedule: flat_cos}",
            _output(facts, f", {affine}"),
            *(["clamp  # predictions within the range of the targets"] if is_number else []),
        ],
        [
            f"loss: {smoothed if facts.task == CLASSES else LOSSES[facts.task]}",
            "optimizer:",
            "  type: adamw",
            f"  learning_rate: {0.2 if is_number else 0.04}",
            "  beta2: 0.95",
            "  weight_decay: 0.02",
            "  weight_decay_schedule: flat_cos",
            "  groups:",
            '    - {parameters: "scale_1.*", learning_rate_factor: 6.0}',
            f"    - {{parameters: [{', '.join(map(quoted, slow))}], learning_rate_factor: 0.1}}",
            '    - {parameters: "*.bias", learning_rate_factor: 0.1, weight_decay: 0.0}',
            "schedule: coslog",
            f"metrics: {METRICS[facts.task]}",
            "training: {epochs: 256, batch_size: 256}",
        ],
        {"categorical": "ordinal"} if facts.columns[CATEGORIES] else {},
    )


PRESETS: Mapping[str, Callable[[Facts], Preset]] = {
    "plain": _plain,
    "strong": _strong,
    "realmlp": _realmlp,
    "tabm": _tabm,
}


def _output(facts: Facts, more: str = "") -> str:
    return f"{{type: dense, units: auto{more}}}  # {output_comment(facts)}"


def _numbers(facts: Facts) -> int:
    """The columns of numbers, with those of dates."""
    return len(facts.columns[NUMBERS]) + len(facts.columns[DATES])


def _width(facts: Facts, units: int) -> int:
    """Outputs for each number: fewer if there are very many."""
    return max(2, min(units, _MANY_WIDE // max(1, _numbers(facts))))


def _bins(facts: Facts) -> str:
    return "the numbers in bins, then " if _numbers(facts) else ""


def _encoded(facts: Facts, keys: str, beside: str = "input") -> list[str]:
    """The layers that cut the columns of numbers into bins, and put ``beside`` next to them: all inputs, or categories.

    ``keys``: those of the first layer.
    """
    if not _numbers(facts):
        return []
    is_alone = beside == "categories" and not facts.columns[CATEGORIES]
    layers = [f"{{type: piecewise_linear, name: numbers, inputs: numeric, {keys}}}"]
    return layers if is_alone else [*layers, f"{{type: concat, inputs: [numbers, {beside}]}}"]


def _stopping(facts: Facts, patience: int) -> list[str]:
    return [f"early_stopping: {{patience: {patience}}}  # epochs without a better validation/loss"] * facts.holds_out
