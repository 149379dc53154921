"""Problems of the network, each at the line of its layer: names, inputs, shapes, size, number of outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from backprop_cli.config.configuration import Config
from backprop_cli.config.conflicts import noisy_layers
from backprop_cli.config.locate import in_file_order
from backprop_cli.config.parameter_names import unmatched_layers, unmatched_patterns
from backprop_cli.data.settings import INPUTS
from backprop_cli.errors import ConfigError, Problem, TreePath, plural
from backprop_cli.memory import installed, size_text
from backprop_cli.nn.ensembled import ensembled
from backprop_cli.nn.graph import Node, every_layer, needs_data, wiring_errors
from backprop_cli.nn.input_columns import Columns
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.layer_shapes import LayerShapeError, LayerSizeError
from backprop_cli.nn.model import Model
from backprop_cli.nn.scopes import LayerPath

Models = dict[tuple[tuple[int, ...], str, Columns], Model]
"""Networks of one configuration by input shape, precision and columns, so that a command builds each only once."""


class Located(Protocol):
    """A configuration whose problems have places."""

    @property
    def config(self) -> Config:
        """The checked configuration."""
        ...

    @property
    def models(self) -> Models:
        """Networks built from it so far."""
        ...

    def placed(self, problem: Problem) -> Problem:
        """The problem with its place."""
        ...


def check_model(
    loaded: Located,
    input_shape: tuple[int, ...],
    outputs: int | None = None,
    positions: int | None = None,
    columns: Columns = (),
) -> Model:
    """The network for examples of this shape, in the training precision.

    ``columns``: those of the data, for layers that read them by name. ``outputs`` is what the data needs: the number of
    classes, tokens, or target columns. ``positions`` is the number of labels an example has in a text. None if unknown.

    Raises:
        ConfigError: layers that do not connect, shapes that do not fit, an output of the wrong width, parameters
            that do not fit into the machine's memory, patterns that match no parameter or layer.

    """
    config = loaded.config
    model = _built(loaded, tuple(input_shape), columns)
    found = [
        *_unknown_tokens(config, model, outputs),
        *_untrainable(model),
        *_wrong_ensemble(config, model),
        *noisy_layers(config, model),
        *unmatched_patterns(config, model),
        *unmatched_layers(config, model),
        *_wrong_output(config, model, outputs, positions),
    ]
    if found:
        raise ConfigError(in_file_order(map(loaded.placed, found)))
    return model


def _built(loaded: Located, input_shape: tuple[int, ...], columns: Columns) -> Model:
    config, key = loaded.config, (input_shape, loaded.config.training.precision, columns)
    if key in loaded.models:
        return loaded.models[key]
    unconnected = _unconnected(loaded)
    if unconnected:
        raise ConfigError(unconnected)
    width, memory = np.dtype(config.training.precision).itemsize, installed()
    try:
        layers, members = config.model.layers, config.training.members
        layers = layers if members is None else ensembled(layers, members)
        model = Model.build(layers, *key[:2], most_parameters=memory // width, columns=columns)
    except LayerSizeError as error:
        wanted, available = size_text(error.parameters * width), size_text(memory)
        reason = f"{error.where}: the network's parameters up to here take {wanted}, and this machine has {available}"
        path = _width_path(config, error.path)
        raise ConfigError([loaded.placed(Problem(path, f"{reason} of memory", "make the layer smaller"))]) from None
    except LayerShapeError as error:
        raise ConfigError([loaded.placed(Problem(("model", *error.path), str(error)))]) from None
    loaded.models[key] = model
    return model


def check_network(loaded: Located) -> list[Problem]:
    """Problems of the network that show before the data is known."""
    model = loaded.config.model
    problems = _unconnected(loaded)
    if problems or model.input is None or needs_data(model.layers):
        return problems
    try:
        check_model(loaded, model.input)
    except ConfigError as error:
        return list(error.problems)
    return []


def _unconnected(loaded: Located) -> list[Problem]:
    errors = wiring_errors(loaded.config.model.layers)
    return [loaded.placed(Problem(("model", *error.path, error.key), str(error))) for error in errors]


def _untrainable(model: Model) -> Iterator[Problem]:
    """A network without parameters to train."""
    if not model.params:
        frozen = any(node.is_frozen and node.params for node in model.nodes)
        reason = "the network has no parameters to train: "
        reason += (
            "all layers that have some are frozen; set trainable: true" if frozen else "add {type: dense, units: ...}"
        )
        yield Problem(("model", "layers"), reason)


def _wrong_ensemble(config: Config, model: Model) -> Iterator[Problem]:
    """An ensemble that cannot be one."""
    layers, members = every_layer(config.model.layers), config.training.members
    if members is not None and any(layer.ensemble for layer in layers):
        reason = "the layers make an ensemble by themselves"
        yield Problem(("training", "members"), reason, "leave it out, or use dense layers")
    elif members is not None and model.members is None:
        yield Problem(("training", "members"), "the network has no dense layer to share among members")
    elif model.members is not None and config.loss.task.has_positions:
        path: TreePath = ("training", "members") if members is not None else ("model", "layers")
        yield Problem(path, f"members of an ensemble have one prediction an example, and {config.loss.type} has many")


def _width_path(config: Config, path: LayerPath) -> TreePath:
    """The key that sets the width of the layer declared at ``path``, or the layer itself if it has none."""
    declared: Any = config.model
    for step in path:
        declared = declared[step] if isinstance(step, int) else getattr(declared, step)
    return ("model", *path, *_width_key(declared))


def _wrong_output(config: Config, model: Model, outputs: int | None, positions: int | None) -> Iterator[Problem]:
    """The problem with the shape of the network's output, if any, at the key that decides it."""
    task, loss, shape = config.loss.task, config.loss.type, model.output_shape
    if task.has_positions:
        yield from _wrong_tokens(config, model, outputs, positions)
        return
    if len(shape) != 1:
        reason = f"the network's output has the shape {list(shape)}, but {loss} needs a row of numbers an example"
        yield Problem(("model", *model.nodes[-1].path), reason, _as_row(config, model, outputs))
        return
    path, width = _deciding_path(model), shape[0]
    needed = outputs if outputs is None else config.loss.outputs_for(outputs)
    if task.is_multiclass and width == 1 and outputs is None:
        reason = f"the network has 1 output, but {loss} needs one a class"
        yield Problem(path, reason, f"{_ending(model, outputs)}, or use loss: binary_cross_entropy")
    elif width < config.loss.least_outputs:
        reason = f"{loss} compares rows of {config.loss.least_outputs} numbers or more, but the network has 1 output"
        yield Problem(("loss",), reason, "use a loss for one number, such as mean_squared_error")
    elif outputs is not None and width != needed:
        wanted = f"{outputs} {task.output_noun[outputs != 1]}"
        wants = f"the data has {wanted}" if needed == outputs else f"{loss} needs {needed} for {wanted}"
        other = ", or use loss: binary_cross_entropy" if task.is_multiclass and (width, outputs) == (1, 2) else ""
        reason = f"the network has {plural(width, 'output')}, but {wants}"
        yield Problem(path, reason, f"{_ending(model, needed)}{other}")


def _unknown_tokens(config: Config, model: Model, tokens: int | None) -> Iterator[Problem]:
    """Layers that look up fewer tokens than the data has."""
    if config.data.text is None or tokens is None:
        return
    for node in model.nodes:
        known = node.layer.vocabulary
        if known is not None and known < tokens:
            key = node.layer.vocabulary_key or "tokens"
            reason = f"layer {node.name} knows {plural(known, 'token')}, but the data has {tokens:,}"
            yield Problem(("model", *node.path, key), reason, f"set {key}: {tokens}")


def _wrong_tokens(config: Config, model: Model, outputs: int | None, positions: int | None) -> Iterator[Problem]:
    """As ``_wrong_output``, for examples with a row of logits at each position."""
    loss, shape = config.loss.type, model.output_shape
    last: TreePath = ("model", *model.nodes[-1].path)
    if len(shape) != 2:
        reason = f"the network's output has the shape {list(shape)}, but {loss} needs [positions, tokens]"
        reason += ": a row of numbers for each position of an example"
        node = next((each for each in model.nodes if _drops_positions(each)), None)
        if node is None:
            yield Problem(last, reason)
            return
        reason += f"; layer {node.name} turns {list(node.input_shapes[0])} into {list(node.output_shape)}"
        setting = node.layer.sequence_setting
        way_out = f"set {setting}" if setting else "leave it out, or use a layer that keeps positions"
        yield Problem(("model", *node.path), reason, way_out)
    elif positions is not None and shape[0] != positions:
        reason = f"the network has {plural(shape[0], 'position')} an example, but the data has {positions} labels"
        yield Problem(last, reason, "keep an output for each position, without pooling or flattening them")
    elif outputs is not None and shape[1] != outputs:
        reason = f"the network has {plural(shape[1], 'output')} a position, but the data has "
        yield Problem(_deciding_path(model), reason + plural(outputs, "token"), _ending(model, outputs))


def _drops_positions(node: Node) -> bool:
    """Whether the layer turns a sequence of vectors into one vector."""
    return len(node.output_shape) != 2 and len(node.input_shapes[0]) == 2


def _ending(model: Model, outputs: int | None, flatten: bool = False) -> str:
    """The way out: the width of the last layer, or a layer to add."""
    key = _deciding(model).layer.width_key
    if key is not None and not flatten:
        return f"set {key}: {outputs}" if outputs is not None else f"set {key} to the number of classes"
    units = f"units: {outputs}" if outputs is not None else "units: ..."
    return f"end the network with {'{type: flatten} and ' if flatten else ''}{{type: dense, {units}}}"


def _as_row(config: Config, model: Model, outputs: int | None) -> str:
    """The way out for an output of several axes, where a row of numbers is needed."""
    size = math.prod(model.output_shape)
    needed = None if outputs is None else config.loss.outputs_for(outputs)
    if needed is None and config.data.target == INPUTS:
        needed = math.prod(model.input_shape)
    return "end the network with {type: flatten}" if size == needed else _ending(model, outputs, flatten=True)


def _deciding_path(model: Model) -> TreePath:
    node = _deciding(model)
    return ("model", *node.path, *_width_key(node.layer))


def _width_key(layer: Layer) -> list[str]:
    return [] if layer.width_key is None else [layer.width_key]


def _deciding(model: Model) -> Node:
    """The layer that sets the width of the output: the last one with a key for it, before any that keep the shape."""
    by_name = {node.name: node for node in model.nodes}
    node = model.nodes[-1]
    while node.layer.width_key is None and len(node.inputs) == 1 and node.inputs[0] in by_name:
        before = by_name[node.inputs[0]]
        if before.output_shape != node.output_shape:
            break
        node = before
    return node if node.layer.width_key is not None else model.nodes[-1]
