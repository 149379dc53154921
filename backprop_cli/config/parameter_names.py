"""Patterns for names of parameters and layers in a configuration; each must match at least one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backprop_cli.config.configuration import Config
from backprop_cli.errors import Problem, listing, nearest
from backprop_cli.nn.model import Model
from backprop_cli.nn.parameter_group import matches, near_pattern


def unmatched_patterns(config: Config, model: Model) -> list[Problem]:
    """The optimizer's patterns that match no trained parameter, each at its key."""
    found: list[Problem] = []
    for path, patterns in config.optimizer.patterns().items():
        for pattern in patterns:
            if any(matches(name, [pattern]) for name in model.params):
                continue
            frozen = [name for name in model.buffers if matches(name, [pattern])]
            reason = f"'{pattern}' matches no parameter" + near_pattern(pattern, model.params)
            if frozen:
                reason = f"'{pattern}' matches only tensors that are not trained: {', '.join(frozen)}"
            found.append(Problem(("optimizer", *path), reason))
    return found or list(_without_parameters(config, model))


def _without_parameters(config: Config, model: Model) -> Iterator[Problem]:
    """Groups and optimizers without a parameter: groups above, or another optimizer, have them all."""
    optimizer, left = config.optimizer, list(model.params)
    for index, group in enumerate(optimizer.groups):
        taken = [name for name in left if matches(name, group.parameters)]
        left = [name for name in left if name not in taken]
        if not taken:
            reason = "all parameters that it matches belong to the groups above"
            yield Problem(("optimizer", "groups", index, "parameters"), reason, "put it before them")
    used = [optimizer.of(name, param.shape).type for name, param in model.params.items()]
    if used and optimizer.type not in used:
        reason = f"no parameter is left to {optimizer.type}: {used[0]} has them all"
        yield Problem(("optimizer", "type"), reason, "use that as the optimizer")


def layers_of(model: Model, patterns: Sequence[str] | None) -> list[str]:
    """The names of the layers that match one of the patterns; a pattern that matches a block means all layers in it."""
    names = [node.name for node in model.nodes]
    return names if patterns is None else [name for name in names if matches_layer(name, patterns)]


def matches_layer(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches the layer or a block around it."""
    parts = name.split(".")
    return any(matches(".".join(parts[:end]), patterns) for end in range(1, len(parts) + 1))


def unmatched_layers(config: Config, model: Model) -> Iterator[Problem]:
    """Patterns of ``model.from_checkpoint.layers`` that match no layer, each at its item."""
    settings = config.model.from_checkpoint
    names = [node.name for node in model.nodes]
    for index, pattern in enumerate((settings and settings.layers) or ()):
        if not layers_of(model, [pattern]):
            near = nearest(pattern, names)
            way_out = f"did you mean '{near}'?" if near else f"layers: {listing(names, 8)}"
            path = ("model", "from_checkpoint", "layers", index)
            yield Problem(path, f"'{pattern}' matches no layer", way_out)
