"""The graph of a network: every layer with its full name and the names it reads, blocks unrolled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from backprop_cli.autodiff import Spec, Value
from backprop_cli.errors import did_you_mean
from backprop_cli.nn.input_columns import is_group
from backprop_cli.nn.layer import Buffer, Chunks, Layer, Param, ParameterLayer
from backprop_cli.nn.layers.add import Add
from backprop_cli.nn.layers.block import Block
from backprop_cli.nn.members import folded, unfolded, with_members
from backprop_cli.nn.scopes import INPUT, LayerPath, WiringError, layer_names, scope_errors
from backprop_cli.nn.task import Shape
from backprop_cli.structs import Struct

TOKEN_DTYPE = np.dtype(np.int64)
"""The dtype of examples that are tokens."""
MOST_LAYERS = 10_000
"""Layers of a network, blocks unrolled: nested repeats soon multiply to more than anybody meant."""
_MOST_HINTS = 20


class Node(Struct, eq=False):
    """A layer in its place in a network.

    ``name`` and ``inputs`` are full names: ``block_1.3.dense_1``. ``path`` is where the layer is declared: ``("layers",
    2, "layers", 0)``. ``shares``: the full names of other layers' parameters, by the names they have in this layer.
    ``is_residual``: the sum that ``residual: true`` adds to the block at ``path``.

    The other fields are empty until ``layer_shapes.traced`` fills them in. Shapes are those of one example, without
    the batch; ``params`` are the layer's own. ``members``: the members that its output has after the batch, and that
    ``output_shape`` begins with, or None; ``input_members``: the same of its inputs. ``input_chunks``: their chunks.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    path: LayerPath
    shares: Mapping[str, str] = field(default_factory=dict)
    is_residual: bool = False
    input_shapes: tuple[Shape, ...] = ()
    output_shape: Shape = ()
    params: Mapping[str, Param] = field(default_factory=dict)
    buffers: Mapping[str, Buffer] = field(default_factory=dict)
    input_members: tuple[int | None, ...] = ()
    input_chunks: tuple[Chunks, ...] = ()

    @property
    def members(self) -> int | None:
        """Members of its output."""
        return self.layer.ensemble or next(filter(None, self.input_members), None)

    @property
    def chunks(self) -> Chunks:
        """Chunks of its output."""
        found = self.layer.chunks(*self.input_chunks)
        return found if (sum(found),) == self.output_shape[-1:] else ()

    @property
    def folds(self) -> int | None:
        """The members that its layer maps as if they were examples; None: it has none, or sees their axis."""
        return None if self.layer.ensemble else self.members

    @property
    def is_frozen(self) -> bool:
        """Whether training leaves its parameters and buffers as they are."""
        return isinstance(self.layer, ParameterLayer) and not self.layer.trainable

    def full_names(self) -> dict[str, str]:
        """Full names of all parameters that it reads, by their names in this layer."""
        return {**{name: f"{self.name}.{name}" for name in self.params}, **self.shares}

    def own(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Of values by full name those of this layer, by their names in it."""
        parted = ((*name.rpartition(".")[::2], value) for name, value in values.items())
        return {name: value for layer, name, value in parted if layer == self.name}

    def specs(self, batch: int, dtype: np.dtype[Any]) -> tuple[Spec, ...]:
        """Specs of the inputs of a batch as its layer reads them, in a network of precision ``dtype``."""
        kind = dtype if self.layer.vocabulary is None else TOKEN_DTYPE
        rows = batch * (self.folds or 1)
        examples = [
            shape[1:] if self.folds and members else shape
            for shape, members in zip(self.input_shapes, self.input_members, strict=True)
        ]
        return tuple(Spec((rows, *shape), kind) for shape in examples)

    def apply(self, params: Mapping[str, Value], *x: Value) -> Value:
        """The layer's output. Shapes: x (batch, *input_shape) each -> (batch, *output_shape)"""
        if self.folds is None:
            return self.layer.apply(params, *x)
        return unfolded(self.layer.apply(params, *self.read(*x)), self.folds)

    def read(self, *x: Value) -> tuple[Value, ...]:
        """Its inputs as its layer reads them."""
        if self.folds is None:
            return x
        given = zip(x, self.input_members, strict=True)
        return tuple(folded(value if members else with_members(value, self.folds)) for value, members in given)


def graph_of(layers: Sequence[Layer]) -> tuple[Node, ...]:
    """Every layer in order, each below the layers it reads; blocks are unrolled.

    Raises: WiringError, the first of ``wiring_errors``.
    """
    for error in wiring_errors(layers):
        raise error
    return tuple(_Unrolled(layers).nodes.values())


def wiring_errors(layers: Sequence[Layer]) -> list[WiringError]:
    """Everything that does not connect: no layers, unfitting names and inputs, a layer that no other reads."""
    return scope_errors(layers) or _too_many(layers) or _Unrolled(layers).errors()


def reads_columns(layers: Sequence[Layer]) -> bool:
    """Whether a layer reads columns of the data by name, or depends on them: only the data knows them."""
    return any(
        type(layer).of_columns is not Layer.of_columns or any(map(is_group, layer.inputs or ()))
        for layer in every_layer(layers)
    )


def needs_data(layers: Sequence[Layer]) -> bool:
    """Whether only the data says what the network is: a layer reads columns, or has a number that is ``auto``."""
    return reads_columns(layers) or any(layer.auto_keys for layer in every_layer(layers))


def vocabulary_of(nodes: Iterable[Node]) -> int | None:
    """The number of tokens that every layer reading the example knows; None: the example is numbers."""
    known = [node.layer.vocabulary for node in nodes if INPUT in node.inputs]
    return min((count for count in known if count is not None), default=None)


def written_out(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers with all names and inputs filled in, also inside blocks."""
    names = layer_names(layers)
    before = [INPUT, *names]
    found = []
    for index, (name, layer) in enumerate(zip(names, layers, strict=True)):
        more = {"layers": written_out(layer.layers)} if isinstance(layer, Block) else {}
        found.append(layer.model_copy(update={"name": name, "inputs": layer.inputs or (before[index],), **more}))
    return tuple(found)


def every_layer(layers: Sequence[Layer]) -> Iterator[Layer]:
    """All declared layers: those of the network and those in blocks."""
    return (layer for _, layer in declared(layers))


def declared(layers: Sequence[Layer], path: LayerPath = ()) -> Iterator[tuple[LayerPath, Layer]]:
    """All declared layers with their places."""
    for index, layer in enumerate(layers):
        place = (*path, "layers", index)
        yield place, layer
        if isinstance(layer, Block):
            yield from declared(layer.layers, place)


def replaced(
    layers: Sequence[Layer], change: Callable[[LayerPath, Layer], Layer], path: LayerPath = ()
) -> tuple[Layer, ...]:
    """The layers, each as ``change(place, layer)`` makes it; those of a block come before the block."""
    found: list[Layer] = []
    for index, layer in enumerate(layers):
        place = (*path, "layers", index)
        if isinstance(layer, Block):
            layer = layer.model_copy(update={"layers": replaced(layer.layers, change, place)})
        found.append(change(place, layer))
    return tuple(found)


def _too_many(layers: Sequence[Layer]) -> list[WiringError]:
    count = 0
    for index, layer in enumerate(layers):
        count += _count(layer)
        if count > MOST_LAYERS:
            reason = f"unrolled, the network has {count:,} layers up to here; at most {MOST_LAYERS:,} are built"
            return [WiringError(("layers", index), "repeat", f"layer {layer_names(layers)[index]}: {reason}")]
    return []


def _count(layer: Layer) -> int:
    return layer.repeat * sum(map(_count, layer.layers)) if isinstance(layer, Block) else 1


class _Unrolled:
    """Nodes by name, in order, and the shared parameters whose layer is not above."""

    def __init__(self, layers: Sequence[Layer]):
        self.nodes: dict[str, Node] = {}
        self._unknown: dict[tuple[LayerPath, str], tuple[str, str, str]] = {}  # layer, its prefix, hint
        self._add(layers, "", (), {INPUT: INPUT}, trainable=True)

    def _add(
        self, layers: Sequence[Layer], prefix: str, path: LayerPath, above: Mapping[str, str], trainable: bool
    ) -> str:
        """Add the layers of a scope; return the full name of its last one.

        ``above``: full names of the layers that the scope may read, by the names they have in it.
        """
        known, last = dict(above), INPUT
        for index, (name, layer) in enumerate(zip(layer_names(layers), layers, strict=True)):
            inputs = tuple(source if is_group(source) else known[source] for source in layer.inputs or (last,))
            place, full = (*path, "layers", index), prefix + name
            if isinstance(layer, Block):
                known[name] = self._repeat(layer, full, place, {**known, INPUT: inputs[0]}, trainable)
            else:
                layer = layer if trainable else _frozen(layer)
                self.nodes[full] = Node(full, layer, inputs, place, self._shares(layer, full, prefix, place))
                known[name] = full
            last = name
        return known[last]

    def _repeat(self, block: Block, full: str, path: LayerPath, above: Mapping[str, str], trainable: bool) -> str:
        feed = above[INPUT]
        for turn in range(1, block.repeat + 1):
            name = f"{full}.{turn}"
            out = self._add(block.layers, f"{name}.", path, {**above, INPUT: feed}, trainable and block.trainable)
            if block.residual:
                self.nodes[name] = Node(name, Add(), (out, feed), path, is_residual=True)
                out = name
            feed = out
        return feed

    def _shares(self, layer: Layer, full: str, prefix: str, path: LayerPath) -> dict[str, str]:
        """Full names of the parameters that the layer shares.

        If the repeats of a layer share with one of them, that repeat owns the parameter.
        """
        share = layer.share if isinstance(layer, ParameterLayer) else None
        asked = [(None, share)] if isinstance(share, str) else list((share or {}).items())
        found = {}
        for own, target in asked:
            owner = self._owner(target, prefix)
            if owner is not None:
                scope, called, theirs = owner
                found[own or theirs] = f"{scope}{called}.{theirs}"
            elif prefix and full in (called for called, _ in _splits(target)):
                continue
            elif (path, target) not in self._unknown:
                few = len(self._unknown) < _MOST_HINTS  # a hint compares all names
                hint = did_you_mean(target.rpartition(".")[0], sorted(self.nodes)) if few else ""
                self._unknown[path, target] = full, prefix, hint
        return found

    def _owner(self, target: str, prefix: str) -> tuple[str, str, str] | None:
        """The owner of the parameter ``target``: the prefix of the nearest scope that has the layer, the layer's name
        in that scope, and the parameter's name in the layer.
        """
        for scope in _scopes(prefix):
            for called, theirs in _splits(target):
                node = self.nodes.get(scope + called)
                # A name with a dot may be a layer of a block: only layers with parameters have names with dots.
                if node is not None and ("." not in theirs or isinstance(node.layer, ParameterLayer)):
                    return scope, called, theirs
        return None

    def errors(self) -> list[WiringError]:
        """Shared parameters that no layer above owns, one error for all repeats. For the complete graph."""
        found = []
        for (path, target), (full, prefix, hint) in self._unknown.items():
            owner = self._owner(target, prefix)
            if owner is None:
                way_out = hint or "; it is the name of a layer above, and its parameter's"
                reason = f"unknown layer '{target.rpartition('.')[0]}' of '{target}'{way_out}"
            elif owner[0] + owner[1] == full:
                of_repeats = f"to share it among repeats, name the first one's: {full}.{owner[2]}"
                reason = f"'{target}' is its own; {of_repeats if '.' in full else 'leave share out'}"
            else:
                reason = f"'{owner[1]}' is below it; let {owner[1]} share the parameter of {full}"
            found.append(WiringError(path, "share", f"layer {full}: share: {reason}"))
        return found


def _scopes(prefix: str) -> list[str]:
    """``block_1.3.``, ``block_1.`` and the empty text: prefixes of the scopes whose names a layer may use."""
    return [prefix[:end] for end in range(len(prefix), -1, -1) if end == 0 or prefix[end - 1] == "."]


def _splits(target: str) -> Iterator[tuple[str, str]]:
    """Ways to split a full name into a layer's and its parameter's: both may have dots (``out_proj.weight``)."""
    owner = target
    while "." in owner:
        owner = owner.rpartition(".")[0]
        yield owner, target[len(owner) + 1 :]


def _frozen(layer: Layer) -> Layer:
    return layer.model_copy(update={"trainable": False}) if isinstance(layer, ParameterLayer) else layer
