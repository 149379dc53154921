"""What a configuration may say, but hardly means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backprop_cli.config.configuration import Config
from backprop_cli.config.load import Loaded
from backprop_cli.config.path import TreePath
from backprop_cli.nn.activation import Activation
from backprop_cli.nn.initializer import Initializer
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.layers._shared.filters import FilterLayer
from backprop_cli.nn.layers.block import Block
from backprop_cli.nn.optimizer import FullBatch
from backprop_cli.nn.wiring import declared, every_layer
from backprop_cli.training.training_spec import TrainingSpec

Caution = tuple[TreePath, str]

_PASS_ON = ("flatten", "reshape", "dropout")


def warnings_of(loaded: Loaded) -> list[str]:
    """One line each, with its place as a problem has it: ``x.yaml:12:40: model.layers[1].activation: ...``."""
    cautions = (
        _applied_twice,
        _targets_among_features,
        _nothing_to_restore,
        _no_variance,
        _sees_its_targets,
        _short_steps,
    )
    found = [caution for find in cautions for caution in find(loaded.config)]
    return [_line(loaded, *each) for each in found]


def warnings_with(loaded: Loaded, spec: TrainingSpec) -> list[str]:
    """The same, of what can be told only with the data."""
    cautions = (_too_short, _channels_last, _starts_nothing)
    return [_line(loaded, *each) for find in cautions for each in find(loaded.config, spec)]


def _line(loaded: Loaded, path: TreePath, reason: str) -> str:
    return str(loaded.problem(path, reason)).partition("\n")[0]


def _applied_twice(config: Config) -> Iterator[Caution]:
    """An activation at the end of the network that the loss applies too."""
    path, layer = _last(config.model.layers, ("model",))
    for key in ("activation", "function"):
        function = getattr(layer, key, None)
        if isinstance(function, Activation) and function.type in config.loss.applies:
            reason = f"{config.loss.type} applies {function.type} itself, so that it is there twice; remove it here"
            yield (*path, key), reason


def _last(layers: Sequence[Layer], path: TreePath) -> tuple[TreePath, Layer]:
    """The last layer that does more than pass on what it reads; of a block that is not residual, its own."""
    index = len(layers) - 1
    while index > 0 and layers[index].type in _PASS_ON and _reads(layers[index], layers[index - 1]):
        index -= 1
    layer, place = layers[index], (*path, "layers", index)
    return _last(layer.layers, place) if isinstance(layer, Block) and not layer.residual else (place, layer)


def _reads(layer: Layer, above: Layer) -> bool:
    return layer.inputs is None or layer.inputs == (above.name,)


def _targets_among_features(config: Config) -> Iterator[Caution]:
    """A network that is given what it shall predict. An autoencoder is meant: its features are its targets;
    and a series is predicted from its own past.
    """
    data = config.data
    target = (data.target,) if isinstance(data.target, str) else data.target or ()
    if data.features == "all" or data.window is not None or set(target) == set(data.features):
        return
    for index, name in enumerate(data.features):
        if name in target:
            reason = f"'{name}' is the target, too: the network is given what it shall predict; remove it here"
            yield ("data", "features", index), reason


def _no_variance(config: Config) -> Iterator[Caution]:
    """Batches of one example, of which batch_norm knows no variance: of a vector it makes the bias alone."""
    if config.training.batch_size == 1 and any(
        layer.type == "batch_norm" for layer in every_layer(config.model.layers)
    ):
        reason = "batch_norm needs more than one example a batch to tell them apart; use larger batches, or layer_norm"
        yield ("training", "batch_size"), reason


def _sees_its_targets(config: Config) -> Iterator[Caution]:
    """A network that learns to copy the next token of a text, which it has not when it goes on with one."""
    if config.data.text is None:
        return
    for path, layer in declared(config.model.layers, ("model",)):
        key = layer.noncausal_key
        if key is not None:
            other = str(not getattr(layer, key)).lower()
            reason = f"each position sees the tokens after it, which it is to predict; set {key}: {other}"
            yield (*path, key), reason


def _short_steps(config: Config) -> Iterator[Caution]:
    """A learning rate left from another optimizer, where a line search begins with steps of that length."""
    optimizer = config.optimizer
    usual = type(optimizer).model_fields["learning_rate"].default
    if isinstance(optimizer, FullBatch) and optimizer.learning_rate < _SHORT * usual:
        reason = f"{optimizer.type} tries steps of this length first; the usual one is {usual}, and so short a one slow"
        yield ("optimizer", "learning_rate"), f"{reason}: leave it out"


_SHORT = 0.1
"""Share of the usual first step that is hardly meant; rates of other optimizers are smaller still."""


def _too_short(config: Config, spec: TrainingSpec) -> Iterator[Caution]:
    """What only happens after more steps than training has."""
    steps = spec.total_steps
    ends = f"training ends after {steps:,} step{'' if steps == 1 else 's'}, "
    if config.lookahead is not None and 0 < steps < config.lookahead.steps:
        reason = f"{ends}and the weights that are kept are still those it began with; take {steps} or fewer"
        yield ("lookahead", "steps"), reason
    if config.average is not None and steps > 0 and config.average.share(spec.last_step_end) is None:
        yield ("average",), f"{ends}before the first of them is averaged; the last weights are kept"


def _channels_last(config: Config, spec: TrainingSpec) -> Iterator[Caution]:
    """Images that look as if their channels came last, and whose rows a convolution takes for channels."""
    shape = spec.recipe.model.input_shape
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape[:2]) <= _MOST_CHANNELS:
        return
    rows, height, channels = shape
    node = next((each for each in spec.recipe.model.nodes if shape in each.input_shapes), None)
    if node is None or not isinstance(node.layer, FilterLayer):
        return
    fix = (
        f"set model.input: {[1, rows, height]}"
        if channels == 1
        else (f"if its channels are the {channels}, save the array with them first, as numpy.moveaxis(images, -1, 1)")
    )
    reason = (
        f"layer {node.name} takes an example of the shape {list(shape)} as {rows} channels of {height} x {channels}"
    )
    yield ("model", *node.path), f"{reason} pixels; {fix}"


_MOST_CHANNELS = 4
"""Of an image as it is stored."""


def _starts_nothing(_: Config, spec: TrainingSpec) -> Iterator[Caution]:
    """An initializer of a layer in which all that would start by it is another layer's."""
    nodes = spec.recipe.model.nodes
    for index, node in enumerate(nodes):
        if not node.shares or any(each.path == node.path for each in nodes[:index]):
            continue
        of_all = node.layer.params(*node.specs(1, spec.recipe.model.dtype))
        for key, chosen in _chosen_initializers(node.layer):
            theirs = [node.shares.get(name) for name, param in of_all.items() if param.initializer is chosen]
            if theirs and None not in theirs:
                others = ", ".join(str(name) for name in theirs)
                reason = f"starts nothing: layer {node.name} has {others} instead; set it there"
                yield ("model", *node.path, key), reason


def _chosen_initializers(layer: Layer) -> Iterator[tuple[str, Initializer]]:
    """Those that are not what the layer begins with anyway."""
    for key, field in type(layer).model_fields.items():
        value = getattr(layer, key)
        if isinstance(value, Initializer) and value != field.default:
            yield key, value


def _nothing_to_restore(config: Config) -> Iterator[Caution]:
    """The best weights are asked for, and no best checkpoint is kept."""
    stopping = config.early_stopping
    asked = stopping is not None and stopping.restore_best and "restore_best" in stopping.model_fields_set
    if asked and not config.checkpoint.keep_best:
        reason = "there is no best checkpoint to restore, because checkpoint.keep_best is 0: the last weights are kept"
        yield ("early_stopping", "restore_best"), f"{reason}; set checkpoint.keep_best: 1"
