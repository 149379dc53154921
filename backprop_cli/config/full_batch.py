"""What does not go with an optimizer that sees the whole train split at once and searches along a line."""

from __future__ import annotations

from collections.abc import Iterator

from backprop_cli.config.configuration import Config
from backprop_cli.config.path import TreePath
from backprop_cli.nn.layer import ParameterLayer
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.nn.wiring import every_layer


def full_batch_conflicts(config: Config) -> Iterator[tuple[TreePath, str]]:
    """Of keys: the value to change, and why."""
    name, training = config.optimizer.type, config.training
    if not isinstance(config.optimizer, FullBatch):
        return
    if training.accumulate > 1:
        yield ("training", "accumulate"), f"{name} sees the whole train split in one batch; leave it at 1"
    if training.overfit_batches is not None:
        yield ("training", "overfit_batches"), f"{name} has no batches; leave it at none"
    for key in ("clip_norm", "clip_value"):
        if getattr(training, key) is not None:
            yield ("training", key), f"{name} searches along the gradient as it is; leave it at none"
    for key in ("average", "lookahead"):
        if getattr(config, key) is not None:
            yield (key,), f"{name} goes down at every step, and its last parameters are its best; leave it at none"
    if config.data.augment is not None:
        yield ("data", "augment"), f"{name} needs a loss that is the same each time; remove it"
    for path in _with_kinks(config):
        yield path, f"{name} needs a loss without kinks; use l2"


def _with_kinks(config: Config) -> Iterator[TreePath]:
    """The places of l1; of a layer in a block that of the block."""
    if config.regularization.l1:
        yield ("regularization", "l1")
    for index, layer in enumerate(config.model.layers):
        own = [each for each in every_layer([layer]) if isinstance(each, ParameterLayer)]
        if any(each.regularization is not None and each.regularization.l1 for each in own):
            yield ("model", "layers", index, *(("regularization", "l1") if layer in own else ()))


def noisy_layers(config: Config, model: Model) -> list[tuple[TreePath, str]]:
    """Layers that draw random numbers in training."""
    if not isinstance(config.optimizer, FullBatch):
        return []
    reason = f"draws random numbers, and {config.optimizer.type} needs a loss that is the same each time; remove it"
    return [
        (("model", *node.path), f"layer {node.name}: {reason}")
        for node in model.nodes
        if node.layer.noise(*node.specs(1, model.dtype))
    ]
