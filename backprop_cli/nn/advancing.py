"""A network that reads a sequence position by position, and keeps a memory of earlier positions."""

from __future__ import annotations

from collections.abc import Mapping

from backprop_cli.autodiff import Spec, Value, in_layer
from backprop_cli.nn.graph import Node
from backprop_cli.nn.model import Model
from backprop_cli.nn.scopes import INPUT

Memory = dict[str, Spec]


def memory_of(model: Model) -> Memory | None:
    """The arrays that the network keeps between positions of a sequence, by ``<layer>.<name>``; they start at 0.

    None: a layer needs all positions at once, so the whole sequence must be computed again.
    """
    context = model.input_shape[0]
    found: Memory = {}
    for node in model.nodes:
        own = _memory(model, node, context)
        if own is None:
            return None
        found |= {f"{node.name}.{name}": spec for name, spec in own.items()}
    return found


def _memory(model: Model, node: Node, context: int) -> Memory | None:
    if node.members is not None:
        return None
    fewest = 2 if node.layer.vocabulary is None else 1  # axes of a sequence of vectors, and of one of tokens
    if any(len(shape) < fewest or shape[0] != context for shape in (*node.input_shapes, (*node.output_shape, 0))):
        return None
    position = (Spec((1, 1, *spec.shape[2:]), spec.dtype) for spec in node.specs(1, model.dtype))
    return node.layer.memory(*position, context=context)


def is_bounded(model: Model) -> bool:
    """Whether the network advances over at most as many positions as an example has."""
    return any(node.layer.is_bounded for node in model.nodes)


def advance(
    model: Model, params: Mapping[str, Value], memory: Mapping[str, Value], x: Value
) -> tuple[Value, dict[str, Value]]:
    """The traced output of a trained network at the newest position, and the new memory.

    ``params``: parameters and buffers by full name. ``memory``: as in ``memory_of``.

    Shapes: x (1, 1, ...) -> out (1, 1, ...)
    """
    values: dict[str, Value] = {INPUT: x}
    new: dict[str, Value] = {}
    for node in model.nodes:
        prefix = f"{node.name}."
        own = {name: params[full] for name, full in node.full_names().items()}
        own |= {name: params[prefix + name] for name in node.buffers}
        with in_layer(node.name):
            inputs = (values[source] for source in node.inputs)
            values[node.name], changed = node.layer.advance(own, node.own(memory), *inputs)
        new |= {prefix + name: value for name, value in changed.items()}
    return values[model.nodes[-1].name], new
