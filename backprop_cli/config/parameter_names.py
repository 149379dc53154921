"""Patterns of parameters' names in a configuration: each is to match one."""

from __future__ import annotations

from backprop_cli.config.path import TreePath
from backprop_cli.config.schema import Config
from backprop_cli.nn.model import Model
from backprop_cli.nn.parameter_group import matches, near_pattern


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
    return found
