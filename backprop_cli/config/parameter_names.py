"""Patterns of names in a configuration, of parameters and of layers: each is to match one."""

from __future__ import annotations

from collections.abc import Sequence

from backprop_cli.config.configuration import Config
from backprop_cli.config.path import TreePath
from backprop_cli.errors import did_you_mean
from backprop_cli.nn.model import Model
from backprop_cli.nn.parameter_group import first_names, matches, near_pattern


def unmatched_patterns(config: Config, model: Model) -> list[tuple[TreePath, str]]:
    """The optimizer's patterns that are those of no trained parameter: the path of each one's key, and why."""
    found: list[tuple[TreePath, str]] = []
    for path, patterns in config.optimizer.patterns().items():
        for pattern in patterns:
            if any(matches(name, [pattern]) for name in model.params):
                continue
            frozen = [name for name in model.buffers if matches(name, [pattern])]
            reason = f"'{pattern}' matches no parameter" + near_pattern(pattern, model.params)
            if frozen:
                reason = f"'{pattern}' matches only what is not trained: {', '.join(frozen)}"
            found.append((("optimizer", *path), reason))
    return found or _without_parameters(config, model)


def _without_parameters(config: Config, model: Model) -> list[tuple[TreePath, str]]:
    """Groups all of whose parameters are those of groups above, and an optimizer that leaves all to another."""
    optimizer, found, left = config.optimizer, list[tuple[TreePath, str]](), list(model.params)
    for index, group in enumerate(optimizer.groups):
        taken = [name for name in left if matches(name, group.parameters)]
        left = [name for name in left if name not in taken]
        if not taken:
            reason = "the groups above have all parameters that it matches; put it before them"
            found.append((("optimizer", "groups", index, "parameters"), reason))
    deputies = [optimizer.of(name, param.shape).type for name, param in model.params.items()]
    if deputies and optimizer.type not in deputies:
        reason = f"no parameter is left to {optimizer.type}: {deputies[0]} has them all; use that as the optimizer"
        found.append((("optimizer", "type"), reason))
    return found


def layers_of(model: Model, patterns: Sequence[str] | None) -> list[str]:
    """The names of the layers that match one of the patterns; a block's name, or a pattern of it, means all in it."""
    names = [node.name for node in model.nodes]
    return names if patterns is None else [name for name in names if matches_layer(name, patterns)]


def matches_layer(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern is that of the layer, or of a block around it."""
    parts = name.split(".")
    return any(matches(".".join(parts[:end]), patterns) for end in range(1, len(parts) + 1))


def unmatched_layers(config: Config, model: Model) -> list[tuple[TreePath, str]]:
    """As ``unmatched_patterns``, of ``model.from_checkpoint.layers``."""
    settings = config.model.from_checkpoint
    names = [node.name for node in model.nodes]
    return [
        (
            ("model", "from_checkpoint", "layers", index),
            f"'{pattern}' matches no layer" + (did_you_mean(pattern, names) or f"; layers: {first_names(names)}"),
        )
        for index, pattern in enumerate((settings and settings.layers) or ())
        if not layers_of(model, [pattern])
    ]
