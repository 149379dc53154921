"""``bp explain``: the chain rule of a network, and what its derivatives cost in multiplications and in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backprop_cli.accumulation.jacobians import Accumulation, accumulation, gradient_costs
from backprop_cli.accumulation.local_jacobian import Local
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.autodiff import Value
from backprop_cli.config.load import Loaded
from backprop_cli.errors import UsageError
from backprop_cli.execution.recomputation import revolve_steps, segmented, stages
from backprop_cli.inspection.chain_rule import ChainRule, Traced, chain_rule, trace, walk
from backprop_cli.session.checked_plugins import read_config, refuse_plugins
from backprop_cli.session.experiment import batch_size, is_configuration, load, network_of
from backprop_cli.session.initial_state import initial_state
from backprop_cli.session.trained_network import TrainedNetwork, open_network
from backprop_cli.training.step_program import BUFFERS, PARAMETERS, Recipe, forward

MOST_NUMBERS = 2_000
"""Parameters up to which ``--numbers`` walks through a network."""


@dataclass(frozen=True)
class Explanation:
    """A network's program of one example, and what is known of its derivatives."""

    nodes: Sequence[Mapping[str, Any]]
    accumulation: Mapping[str, Any]
    gradient: Mapping[str, int]
    memory: Mapping[str, Any]
    rule: ChainRule
    numbers: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As ``bp explain --json`` prints it; costs are multiplications for one example."""
        found: dict[str, Any] = {
            "nodes": [dict(node) for node in self.nodes],
            "accumulation": dict(self.accumulation),
            "gradient": dict(self.gradient),
            "memory": dict(self.memory),
            "chain_rule": self.rule.to_json(),
        }
        return found if self.numbers is None else {**found, "numbers": dict(self.numbers)}


def explain(
    target: Path | str, overrides: Sequence[str] = (), *, numbers: bool = False, plugins: Sequence[Path | str] = ()
) -> Explanation:
    """Describe the derivatives of a configuration, a checkpoint or a run: of its network as it predicts, and its loss.

    Data is read only where nothing else says the shapes. ``numbers``: also walk the first training example forward
    and back, at the weights of the checkpoint or at the initial ones. ``plugins``: files with code that a checkpoint
    needs.

    Raises:
        ConfigError: the configuration is wrong.
        CheckpointError: the checkpoint or run is missing or damaged.
        DataError: data that is needed cannot be read.
        UsageError: ``numbers`` of a large network, or a plugin that is missing.
        CheckError: a plugin's gradient is wrong.

    """
    path = Path(target)
    if is_configuration(path):
        refuse_plugins(plugins, path)
        loaded = read_config(path, overrides)
        recipe = network_of(loaded)
        saved = None
    else:
        saved = open_network(path, overrides, plugins)
        loaded, recipe = saved.loaded, saved.recipe
    traced = trace(recipe)
    found = accumulation([traced.outputs], traced.sources)
    walked = _walked(loaded, recipe, traced, saved) if numbers else None
    return Explanation(
        _nodes(traced),
        _accumulation(traced, found),
        dict(zip(("forward", "reverse"), gradient_costs(traced.loss, list(traced.params.values())), strict=True)),
        _memory(recipe, batch_size(loaded)),
        chain_rule(traced, found),
        walked,
    )


def _nodes(traced: Traced) -> list[dict[str, Any]]:
    found = []
    for node, name in traced.names.items():
        if node.op is None:
            continue
        structures = local_jacobians(node.op, node.inputs, node)
        entries = [
            _local(traced.names.get(x, "constant"), node, x, structure)
            for x, structure in zip(node.inputs, structures, strict=True)
            if not x.is_constant
        ]
        # The operand that the example acts through is the one that the node is about.
        main = next((entry for entry in entries if entry["nonzeros"]), entries[0] if entries else None)
        found.append(
            {
                "name": name,
                "op": node.op.kind,
                "layer": node.layer,
                "shape": list(node.shape),
                "local_jacobian": main,
                "local_jacobians": entries,
            }
        )
    return found


def _local(by: str, node: Value, x: Value, structure: Local | None) -> dict[str, Any]:
    return {
        "by": by,
        "shape": [*node.shape, *x.shape],
        "structure": "zero" if structure is None else structure.kind,
        "nonzeros": 0 if structure is None else structure.nonzeros,
    }


def _called(traced: Traced, source: Value) -> str:
    return "inputs" if source is traced.inputs else str(source.layer)


def _accumulation(traced: Traced, found: Accumulation) -> dict[str, Any]:
    limited = {} if found.limit is None else {"limit": found.limit}
    return {
        "of": f"outputs by {' and '.join(_called(traced, source) for source in traced.sources)}",
        "forward": found.forward.cost,
        "reverse": found.reverse.cost,
        "best": found.best.cost,
        "best_order": [traced.names[found.graph.values[vertex]] for vertex in found.best.order],
        "proved_optimal": found.best.proved_optimal,
        "method": found.best.method,
    } | limited


def _memory(recipe: Recipe, batch: int) -> dict[str, Any]:
    """Bytes of forward results that the gradient of a batch reads, by layer; and with recomputation."""
    traced = forward(recipe, batch, training=True)
    params = list(traced.params.values())
    parts = stages(traced.loss + traced.regularization, params)
    best = segmented(parts)
    count = len([part for part in parts if part.read])
    room = sorted({2, 3, 5, 10} & set(range(1, count)))
    return {
        "batch": batch,
        "layers": [{"layer": part.layer or "loss", "bytes": part.bytes} for part in parts if part.read],
        "kept": sum(part.bytes for part in parts),
        "recompute": {
            "segments": len(best.segments),
            "bytes": best.bytes,
            "layers_again": sum(bool(part.read) for segment in best.segments[:-1] for part in segment),
        },
        "revolve": [{"checkpoints": c, "forward_steps": revolve_steps(count, c)} for c in room],
    }


def _walked(loaded: Loaded, recipe: Recipe, traced: Traced, saved: TrainedNetwork | None) -> dict[str, Any]:
    """Every variable of the chain rule and every derivative of the loss, for one example, in float64."""
    if recipe.layout.size > MOST_NUMBERS:
        many = f"{recipe.layout.size:,} parameters"
        raise UsageError(f"explain --numbers: {many} are too many to show; the limit is {MOST_NUMBERS:,}")
    train = load(loaded).train
    vectors = initial_state(loaded, recipe).network if saved is None else saved.vectors
    feed = {
        value: recipe.layout_of(vector).arrays(np.asarray(vectors[vector], np.float64))[name]
        for vector, values in ((PARAMETERS, traced.params), (BUFFERS, traced.buffers))
        for name, value in values.items()
    }
    feed[traced.inputs] = np.asarray(train.inputs[:1], traced.inputs.dtype)
    feed[traced.targets] = np.asarray(train.targets[:1], traced.targets.dtype)
    return walk(traced, feed)
