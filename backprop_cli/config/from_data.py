"""Numbers that the data decides: ``auto`` as the width of the output, the tokens of an embedding, or the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from backprop_cli.config.configuration import Config
from backprop_cli.config.load import Loaded
from backprop_cli.errors import ConfigError, Problem
from backprop_cli.nn.graph import declared, every_layer, graph_of, replaced
from backprop_cli.nn.layer import Layer
from backprop_cli.nn.scopes import LayerPath
from backprop_cli.settings import AUTO

_STEPS = 5_000
_FEWEST, _MOST = 20, 200
"""Steps of ``epochs: auto``, and the fewest and most epochs."""


class DataSizes(NamedTuple):
    """What the data says: the width of the network's output, the number of tokens, and the steps of an epoch.

    None: it does not say.
    """

    outputs: int | None
    tokens: int | None
    steps: int

    def of(self, layer: Layer, key: str) -> int | None:
        """The number for a key of a layer."""
        return self.outputs if key == layer.width_key else self.tokens


def settled(loaded: Loaded, sizes: DataSizes) -> Loaded:
    """The configuration with numbers for ``auto``.

    Raises:
        ConfigError: a layer with ``auto`` does not make the network's outputs, or the data does not say the number.

    """
    config = loaded.config
    if config.training.epochs == AUTO:
        epochs = min(max(-(-_STEPS // sizes.steps), _FEWEST), _MOST)
        config = config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})
    if any(layer.auto_keys for layer in every_layer(config.model.layers)):
        config = _with_widths(loaded, config, sizes)
    return loaded if config is loaded.config else replace(loaded, config=config, models={})


def _with_widths(loaded: Loaded, config: Config, sizes: DataSizes) -> Config:
    layers, last = config.model.layers, _last(config.model.layers)
    found = []
    for path, layer in declared(layers):
        for key in layer.auto_keys:
            reason = _obstacle(layer, key, path == last, sizes)
            if reason is not None:
                found.append(loaded.placed(Problem(("model", *path, key), *reason)))
    if found:
        raise ConfigError(found)

    def settle(path: LayerPath, layer: Layer) -> Layer:
        return layer.model_copy(update={key: sizes.of(layer, key) for key in layer.auto_keys})

    return config.model_copy(update={"model": config.model.model_copy(update={"layers": replaced(layers, settle)})})


def _obstacle(layer: Layer, key: str, is_last: bool, sizes: DataSizes) -> tuple[str, str] | None:
    """Why the data does not decide the number, and the way out."""
    if key == layer.width_key and not is_last:
        return "auto goes with the layer that makes the network's outputs", f"write a number, such as {key}: 64"
    if sizes.of(layer, key) is None:
        return "the data does not say how many there are", f"write a number, such as {key}: 64"
    return None


def _last(layers: Sequence[Layer]) -> LayerPath:
    """The place of the last layer with a width, before any that have none and read one layer."""
    nodes = graph_of(layers)
    by_name, node = {each.name: each for each in nodes}, nodes[-1]
    while node.layer.width_key is None and len(node.inputs) == 1 and node.inputs[0] in by_name:
        node = by_name[node.inputs[0]]
    return node.path
