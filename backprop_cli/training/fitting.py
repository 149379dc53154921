"""Starting values of layers that depend on the data, such as the edges of bins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backprop_cli.autodiff import Array, Value, evaluate, input_
from backprop_cli.nn.graph import Node
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.model import Model
from backprop_cli.nn.scopes import INPUT
from backprop_cli.training.evaluation import Examples

MOST = 1 << 13
"""Most examples that a layer is fitted on, if its inputs are outputs of other layers; at the example itself all are."""


def fit_layers(model: Model, arrays: Mapping[str, Array], examples: Examples) -> None:
    """Let each layer set its ``arrays``, which are the network's by full name, in order: a layer sees those above it
    fitted.

    Layers see the numbers of evaluation, without dropout.
    """
    for node in model.nodes:
        if type(node.layer).fit is Layer.fit:
            continue
        names = {**node.full_names(), **{name: f"{node.name}.{name}" for name in node.buffers}}
        x, targets = _read(model, node, arrays, examples)
        own = {name: arrays[full] for name, full in names.items()}
        for name, array in node.layer.fit(own, targets, *x).items():
            own[name][...] = array


def _read(model: Model, node: Node, arrays: Mapping[str, Array], examples: Examples) -> tuple[list[Array], Array]:
    """The layer's inputs for the examples, and their targets."""
    above = {each.name for each in model.nodes}
    count = min(len(examples.inputs), MOST) if above & set(node.inputs) else len(examples.inputs)
    inputs, targets = np.asarray(examples.inputs[:count]), np.asarray(examples.targets[:count])
    params = {name: input_(name, array.shape, array.dtype) for name, array in arrays.items()}
    x = input_(INPUT, inputs.shape, model.input_dtype)
    values: dict[str, Value] = {INPUT: x, **model.walk(params, x, None).layers}
    read = node.read(*(model.source(values, name) for name in node.inputs))
    feed = {x: inputs, **{params[name]: array for name, array in arrays.items()}}
    found = [np.asarray(array) for array in evaluate(list(read), feed)]
    return found, targets if node.folds is None else np.repeat(targets, node.folds, axis=0)
