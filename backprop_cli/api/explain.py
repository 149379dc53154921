"""``bp explain``: the chain rule of a network, and what its derivatives cost in multiplications and in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from backprop_cli.accumulation.jacobians import accumulation
from backprop_cli.api.arguments import one_or_many
from backprop_cli.errors import UsageError
from backprop_cli.inspection.chain_rule import ChainRule, chain_rule
from backprop_cli.inspection.derivative_costs import (
    AccumulationCosts,
    GradientCosts,
    MemoryCosts,
    accumulation_costs,
    costs_of_gradient,
    memory_costs,
)
from backprop_cli.inspection.operations import Operation, operations
from backprop_cli.inspection.symbols import Symbols
from backprop_cli.inspection.traced_example import trace_example
from backprop_cli.inspection.walkthrough import Walkthrough, first_example, walk
from backprop_cli.json_object import JsonObject
from backprop_cli.session.checked_plugins import read_config, refuse_plugins
from backprop_cli.session.experiment import batch_size, is_configuration, network_of
from backprop_cli.session.trained_network import open_network

MOST_NUMBERS = 2_000
"""Largest number of parameters for ``--numbers``."""


class Explanation(JsonObject):
    """The program of a network for one example, its chain rule, and the costs of its derivatives."""

    json_optional: ClassVar = ("numbers",)

    nodes: Sequence[Operation]
    """The ops, operands first."""
    accumulation: AccumulationCosts
    """Costs of the Jacobian of outputs by inputs."""
    gradient: GradientCosts
    """Costs of the gradient of the loss."""
    memory: MemoryCosts
    """Memory of reverse mode."""
    chain_rule: ChainRule
    """The chain rule."""
    numbers: Walkthrough | None = None
    """The first training example, with ``--numbers``."""


@one_or_many
def explain(
    target: Path | str, overrides: Sequence[str] = (), *, numbers: bool = False, plugins: Sequence[Path | str] = ()
) -> Explanation:
    """Describe the derivatives of a network as it predicts, and of its loss.

    ``target``: a configuration, a checkpoint or a run.

    Data is read only if nothing else gives the shapes. ``numbers``: also walk the first training example forward
    and back, at the weights of the checkpoint or at the initial ones. ``plugins``: files with code that a checkpoint
    needs.

    Raises:
        ConfigError: the configuration is wrong.
        CheckpointError: the checkpoint or run is missing or damaged.
        DataError: data that is needed cannot be read.
        UsageError: ``numbers`` for a large network, or a plugin is missing.
        CheckError: a plugin's gradient is wrong.

    """
    path = Path(target)
    if is_configuration(path):
        refuse_plugins(plugins, path)
        loaded = read_config(path, overrides)
        recipe, saved = network_of(loaded), None
    else:
        saved = open_network(path, overrides, plugins)
        loaded, recipe = saved.loaded, saved.recipe
    if numbers and recipe.layout.size > MOST_NUMBERS:
        many = f"{recipe.layout.size:,} parameters"
        raise UsageError(f"explain --numbers: {many} are too many to show; the limit is {MOST_NUMBERS:,}")
    traced = trace_example(recipe)
    names = Symbols(traced)
    jacobian = accumulation([traced.outputs], traced.sources)
    return Explanation(
        operations(traced),
        accumulation_costs(traced, jacobian),
        costs_of_gradient(traced),
        memory_costs(recipe, batch_size(loaded)),
        chain_rule(names, jacobian),
        walk(names, first_example(loaded, recipe, traced, saved)) if numbers else None,
    )
