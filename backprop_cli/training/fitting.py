"""Starting values of layers that depend on the data, such as the edges of bins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backprop_cli.autodiff import Array, Value, evaluate, input_
from backprop_cli.nn.graph import Node
from backprop_cli.nn.model import Model
from backprop_cli.nn.scopes import INPUT
from backprop_cli.training.evaluation import Examples
from backprop_cli.training.state import FITTING

MOST = 1 << 13
"""Most rows that a layer is fitted on, members counted, unless it fits on all examples. They are spread evenly."""


def fit_layers(model: Model, arrays: Mapping[str, Array], examples: Examples, seed: int) -> None:
    """Let each layer set its ``arrays``, which are the network's by full name, in order: a layer sees those above it
    fitted.

    Layers see the numbers of evaluation, without dropout.
    """
    rng = np.random.default_rng([seed, FITTING])
    for node in model.nodes:
        if not node.layer.is_fitted:
            continue
        names = {**node.full_names(), **{name: f"{node.name}.{name}" for name in node.buffers}}
        x, targets = _read(model, node, arrays, examples)
        own = {name: arrays[full] for name, full in names.items()}
        for name, array in node.layer.fit(rng, own, targets, *x).items():
            own[name][...] = array


def _read(model: Model, node: Node, arrays: Mapping[str, Array], examples: Examples) -> tuple[list[Array], Array]:
    """The layer's inputs for the examples, and their targets."""
    above, count = {each.name for each in model.nodes}, len(examples.inputs)
    if not node.layer.fits_on_all or above & set(node.inputs):
        count = min(count, max(1, MOST // (node.members or 1)))
    chosen = np.arange(count) * len(examples.inputs) // count
    whole = count == len(examples.inputs)
    inputs, targets = (np.asarray(each if whole else each[chosen]) for each in (examples.inputs, examples.targets))
    params = {name: input_(name, array.shape, array.dtype) for name, array in arrays.items()}
    x = input_(INPUT, inputs.shape, model.input_dtype)
    values: dict[str, Value] = {INPUT: x, **model.walk(params, x, None).layers}
    read = node.read(*(model.source(values, name) for name in node.inputs))
    feed = {x: inputs, **{params[name]: array for name, array in arrays.items()}}
    found = [np.asarray(array) for array in evaluate(list(read), feed)]
    return found, targets if node.folds is None else np.repeat(targets, node.folds, axis=0)
