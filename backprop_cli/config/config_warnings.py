"""Warnings about a configuration that is valid but probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backprop_cli.config.configuration import Config
from backprop_cli.config.load import Loaded
from backprop_cli.errors import Problem, TreePath, plural
from backprop_cli.nn.activation import Activation
from backprop_cli.nn.graph import declared, every_layer
from backprop_cli.nn.initializer import Initializer
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.layers.block import Block
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.training.training_spec import TrainingSpec


def config_warnings(loaded: Loaded) -> list[str]:
    """Warnings that need no data, a line each: ``x.yaml:12:40: model.layers[1].activation: ...``."""
    rules = (
        _applied_twice,
        _targets_among_features,
        _nothing_to_restore,
        _no_variance,
        _sees_its_targets,
        _short_steps,
    )
    return [loaded.placed(found).headline for rule in rules for found in rule(loaded.config)]


def data_warnings(loaded: Loaded, spec: TrainingSpec) -> list[str]:
    """Warnings that need the data, in the same form."""
    rules = (_too_short, _channels_last, _unused_initializer)
    return [loaded.placed(found).headline for rule in rules for found in rule(loaded.config, spec)]


def _applied_twice(config: Config) -> Iterator[Problem]:
    """The network ends with an activation that the loss applies, too."""
    path, layer = _last(config.model.layers, ("model",))
    for key in ("activation", "function"):
        function = getattr(layer, key, None)
        if isinstance(function, Activation) and function.type in config.loss.applies:
            reason = f"{config.loss.type} already applies {function.type}, so it would be applied twice"
            yield Problem((*path, key), reason, "remove it here")


def _last(layers: Sequence[Layer], path: TreePath) -> tuple[TreePath, Layer]:
    """The last layer that computes something; for a block without a residual, the last one inside."""
    index = len(layers) - 1
    while index > 0 and layers[index].passes_on and _reads(layers[index], layers[index - 1]):
        index -= 1
    layer, place = layers[index], (*path, "layers", index)
    return _last(layer.layers, place) if isinstance(layer, Block) and not layer.residual else (place, layer)


def _reads(layer: Layer, above: Layer) -> bool:
    return layer.inputs is None or layer.inputs == (above.name,)


def _targets_among_features(config: Config) -> Iterator[Problem]:
    """The features include the target.

    That is intended for an autoencoder, whose features are its targets, and for a series, predicted from its past.
    """
    data = config.data
    target = (data.target,) if isinstance(data.target, str) else data.target or ()
    if data.features == "all" or data.window is not None or set(target) == set(data.features):
        return
    for index, name in enumerate(data.features):
        if name in target:
            reason = f"'{name}' is also the target, so the network sees what it should predict"
            yield Problem(("data", "features", index), reason, "remove it here")


def _no_variance(config: Config) -> Iterator[Problem]:
    """One example has no variance over the batch: batch_norm reduces a vector to its bias."""
    mixing = next((layer for layer in every_layer(config.model.layers) if layer.mixes_examples), None)
    if config.training.batch_size == 1 and mixing is not None:
        reason = f"{mixing.type} cannot normalize over a batch of one example"
        yield Problem(("training", "batch_size"), reason, "use larger batches, or layer_norm")


def _sees_its_targets(config: Config) -> Iterator[Problem]:
    """The network could copy the next token, which it does not have when it generates text."""
    if config.data.text is None:
        return
    for path, layer in declared(config.model.layers, ("model",)):
        key = layer.noncausal_key
        if key is not None:
            other = str(not getattr(layer, key)).lower()
            reason = "each position sees the tokens after it, which it should predict"
            yield Problem((*path, key), reason, f"set {key}: {other}")


def _short_steps(config: Config) -> Iterator[Problem]:
    """A learning rate for another optimizer: a line search starts with a step of this length."""
    optimizer = config.optimizer
    usual = type(optimizer).model_fields["learning_rate"].default
    if isinstance(optimizer, FullBatch) and optimizer.learning_rate < _SHORT * usual:
        reason = f"{optimizer.type} tries a step of this length first, and such a short one makes it slow"
        yield Problem(("optimizer", "learning_rate"), reason, f"leave it out (default: {usual})")


_SHORT = 0.1
"""Share of the usual first step below which a rate is suspicious; rates of other optimizers are smaller still."""


def _too_short(config: Config, spec: TrainingSpec) -> Iterator[Problem]:
    """Settings that take effect only after the last step."""
    steps = spec.total_steps
    ends = f"training ends after {plural(steps, 'step')}"
    if config.lookahead is not None and 0 < steps < config.lookahead.steps:
        reason = f"{ends}, before the slow weights move, and those are kept"
        yield Problem(("lookahead", "steps"), reason, f"set {steps} or fewer")
    if config.average is not None and steps > 0 and config.average.share(spec.last_step_end) is None:
        yield Problem(("average",), f"{ends}, before averaging starts, so the last weights are kept")


def _channels_last(config: Config, spec: TrainingSpec) -> Iterator[Problem]:
    """Images that seem to have their channels last: a convolution would take their rows for channels."""
    shape = spec.recipe.model.input_shape
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape[:2]) <= _MOST_CHANNELS:
        return
    rows, height, channels = shape
    node = next((each for each in spec.recipe.model.nodes if shape in each.input_shapes), None)
    if node is None or not node.layer.filters_channels:
        return
    fix = (
        f"set model.input: {[1, rows, height]}"
        if channels == 1
        else (f"if its channels are the {channels}, save the array with them first, as numpy.moveaxis(images, -1, 1)")
    )
    reason = f"layer {node.name} reads examples of the shape {list(shape)} as {rows} channels of {height} x {channels}"
    yield Problem(("model", *node.path), f"{reason} pixels", fix)


_MOST_CHANNELS = 4
"""Most channels of a stored image."""


def _unused_initializer(_: Config, spec: TrainingSpec) -> Iterator[Problem]:
    """An initializer without effect: the layer shares all parameters that it would initialize."""
    nodes = spec.recipe.model.nodes
    for index, node in enumerate(nodes):
        if not node.shares or any(each.path == node.path for each in nodes[:index]):
            continue
        of_all = node.layer.params(*node.specs(1, spec.recipe.model.dtype))
        for key, chosen in _chosen_initializers(node.layer):
            theirs = [node.shares.get(name) for name, param in of_all.items() if param.initializer is chosen]
            if theirs and None not in theirs:
                others = ", ".join(str(name) for name in theirs)
                reason = f"initializes nothing, because layer {node.name} shares {others}"
                yield Problem(("model", *node.path, key), reason, "set it there")


def _chosen_initializers(layer: Layer) -> Iterator[tuple[str, Initializer]]:
    """Those that differ from the layer's defaults."""
    for key, field in type(layer).model_fields.items():
        value = getattr(layer, key)
        if isinstance(value, Initializer) and value != field.default:
            yield key, value


def _nothing_to_restore(config: Config) -> Iterator[Problem]:
    """``restore_best`` is set, but no best checkpoint is kept."""
    stopping = config.early_stopping
    asked = stopping is not None and stopping.restore_best and "restore_best" in stopping.model_fields_set
    if asked and not config.checkpoint.keep_best:
        reason = "checkpoint.keep_best is 0, so there is no best checkpoint to restore and the last weights are kept"
        yield Problem(("early_stopping", "restore_best"), reason, "set checkpoint.keep_best: 1")
