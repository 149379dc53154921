"""Problems of the network itself, each at the line of its layer: names, inputs, shapes, the number of outputs."""

from __future__ import annotations

from typing import Protocol

from backprop_cli.config.compose import Path
from backprop_cli.config.schema import Config
from backprop_cli.errors import ConfigError, Problem
from backprop_cli.nn.model import LayerShapeError, Model, Node
from backprop_cli.nn.wiring import WiringError, wire


class Located(Protocol):
    """A configuration whose problems have places."""

    @property
    def config(self) -> Config:
        """The checked configuration."""
        ...

    def problem(self, path: Path, reason: str, key: bool = False) -> Problem:
        """A problem at its place."""
        ...


def check_model(loaded: Located, input_shape: tuple[int, ...], outputs: int | None = None) -> Model:
    """The network for examples of this shape, in the training precision.

    ``outputs`` is what the data asks for: the number of classes, or of target columns; None where it is not known.

    Raises:
        ConfigError: layers that do not connect, shapes that do not fit, a last layer of another width.
    """
    config = loaded.config
    try:
        model = Model.build(config.model.layers, input_shape, config.training.precision)
    except WiringError as error:
        raise ConfigError([loaded.problem(_wiring_path(error), str(error))]) from None
    except LayerShapeError as error:
        raise ConfigError([loaded.problem(("model", "layers", error.layer_index), str(error))]) from None
    found = _wrong_output(config, model, outputs)
    if found is not None:
        raise ConfigError([loaded.problem(*found)])
    return model


def check_network(loaded: Located) -> list[Problem]:
    """What is wrong with the network before the data is known."""
    config = loaded.config
    try:
        if config.model.input is not None:
            check_model(loaded, config.model.input)
        else:
            wire(config.model.layers)
    except WiringError as error:
        return [loaded.problem(_wiring_path(error), str(error))]
    except ConfigError as error:
        return list(error.problems)
    return []


def _wiring_path(error: WiringError) -> Path:
    return ("model", "layers", error.layer_index, error.key)


def _wrong_output(config: Config, model: Model, outputs: int | None) -> tuple[Path, str] | None:
    """The layer that decides the network's outputs, and what is wrong with them."""
    task, loss, shape = config.loss.task, config.loss.type, model.output_shape
    node = _deciding(model)
    has_units = "units" in type(node.layer).model_fields
    path: Path = ("model", "layers", node.index, *(["units"] if has_units else []))

    def change(units: int | str) -> str:
        return f"set units: {units}" if has_units else f"end the network with {{type: dense, units: {units}}}"

    if len(shape) != 1:
        needs = outputs if outputs is not None else "..."
        reason = f"the network's output has the shape {list(shape)}, but {loss} needs one row of numbers an example"
        return ("model", "layers", len(model.nodes) - 1), f"{reason}; end it with flatten and {{type: dense, units: {needs}}}"
    width = shape[0]
    if task == "classes" and width == 1 and outputs in (None, 2):
        has = "but the data has 2 classes" if outputs == 2 else f"but {loss} needs one a class"
        return path, f"the network has 1 output, {has}; {change(outputs or '...')}, or use loss: binary_cross_entropy"
    if outputs is None or width == outputs:
        return None
    kind = "class" if task == "classes" else "target column"
    plural = {"class": "classes", "target column": "target columns"}
    wanted = f"{outputs} {kind if outputs == 1 else plural[kind]}"
    has = f"{width} output{'' if width == 1 else 's'}"
    return path, f"the network has {has}, but the data has {wanted}; {change(outputs)}"


def _deciding(model: Model) -> Node:
    """The layer that sets the width of the output: the last one, before any that only pass their input's shape on."""
    by_name = {node.name: node for node in model.nodes}
    node = model.nodes[-1]
    while "units" not in type(node.layer).model_fields and len(node.inputs) == 1 and node.inputs[0] in by_name:
        before = by_name[node.inputs[0]]
        if before.output_shape != node.output_shape:
            break
        node = before
    return node if "units" in type(node.layer).model_fields else model.nodes[-1]
