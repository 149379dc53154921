"""Who reads whom: names of layers, and the names of their inputs, with blocks unrolled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from backprop_cli.errors import did_you_mean
from backprop_cli.nn.layer import Layer, ParameterLayer
from backprop_cli.nn.layers.add import Add
from backprop_cli.nn.layers.block import Block
from backprop_cli.nn.scopes import INPUT, LayerPath, WiringError, layer_names, scope_errors

MOST_LAYERS = 10_000
"""Layers of a network, blocks unrolled: repeats of repeats are soon more than anybody meant."""

_MOST_HINTS = 20


class Wire(NamedTuple):
    """A layer in its place.

    ``name`` and ``inputs`` are full: ``block_1.3.dense_1``. ``path`` is where it is declared: ``("layers", 2,
    "layers", 0)``. ``shares``: a parameter of its own -> the full name of the parameter it is instead. ``is_residual``:
    it is declared by ``residual: true`` of the block at its path.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    path: LayerPath
    shares: Mapping[str, str] = {}
    is_residual: bool = False


def wire(layers: Sequence[Layer]) -> list[Wire]:
    """Every layer with its name and the names it reads, all of them above it; blocks are unrolled.

    Raises: WiringError, the first of ``wiring_errors``.
    """
    for error in wiring_errors(layers):
        raise error
    return _unrolled(layers).wires


def wiring_errors(layers: Sequence[Layer]) -> list[WiringError]:
    """Everything that does not connect: no layers, names and inputs that do not fit, a layer that nothing reads."""
    return scope_errors(layers) or _too_many(layers) or _unrolled(layers).errors


class Reader(Protocol):
    """A layer in its place."""

    @property
    def layer(self) -> Layer:
        """The layer."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The full names of what it reads."""


def vocabulary_of(readers: Iterable[Reader]) -> int | None:
    """Tokens there are, where layers read the example as tokens: what each of them knows. None: it is numbers."""
    known = [reader.layer.vocabulary for reader in readers if INPUT in reader.inputs]
    return min((count for count in known if count is not None), default=None)


def written_out(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers with their names and inputs, blocks' layers too, as they are written."""
    names = layer_names(layers)
    before = [INPUT, *names]
    found = []
    for index, (name, layer) in enumerate(zip(names, layers, strict=True)):
        more = {"layers": written_out(layer.layers)} if isinstance(layer, Block) else {}
        found.append(layer.model_copy(update={"name": name, "inputs": layer.inputs or (before[index],), **more}))
    return tuple(found)


def every_layer(layers: Sequence[Layer]) -> Iterator[Layer]:
    """All layers as they are declared, blocks and those in them."""
    return (layer for _, layer in declared(layers))


def declared(layers: Sequence[Layer], path: LayerPath = ()) -> Iterator[tuple[LayerPath, Layer]]:
    """The same, each with its place."""
    for index, layer in enumerate(layers):
        place = (*path, "layers", index)
        yield place, layer
        if isinstance(layer, Block):
            yield from declared(layer.layers, place)


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


def _unrolled(layers: Sequence[Layer]) -> _Unrolling:
    unrolling = _Unrolling()
    unrolling.add(layers, _Place("", (), {}, INPUT))
    unrolling.tell_unknown()
    return unrolling


class _Place(NamedTuple):
    """Where layers stand: the names around them, their path, what outer names mean, what their input is."""

    prefix: str
    path: LayerPath
    above: Mapping[str, str]
    feed: str
    trainable: bool = True


@dataclass
class _Unrolling:
    """Collects wires, layer by layer."""

    wires: list[Wire] = field(default_factory=list)
    errors: list[WiringError] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _holders: set[str] = field(default_factory=set)  # names of those that may have parameters
    _unknown: dict[tuple[LayerPath, str], _Unknown] = field(default_factory=dict)

    def add(self, layers: Sequence[Layer], place: _Place) -> str:
        """The layers of a scope; the name of what they put out."""
        known, last = {**place.above, INPUT: place.feed}, INPUT
        for index, (name, layer) in enumerate(zip(layer_names(layers), layers, strict=True)):
            inputs = tuple(known[source] for source in layer.inputs or (last,))
            path, full = (*place.path, "layers", index), place.prefix + name
            if isinstance(layer, Block):
                known[name] = self._unroll(
                    layer, _Place(full, path, known, inputs[0], place.trainable and layer.trainable)
                )
            else:
                known[name] = full
                self._put(Wire(full, _as_trained(layer, place), inputs, path, self._shares(layer, full, path, place)))
            last = name
        return known[last]

    def _unroll(self, block: Block, place: _Place) -> str:
        for turn in range(1, block.repeat + 1):
            name = f"{place.prefix}.{turn}"
            out = self.add(block.layers, place._replace(prefix=f"{name}."))
            if block.residual:
                self._put(Wire(name, Add(), (out, place.feed), place.path, is_residual=True))
                out = name
            place = place._replace(feed=out)
        return place.feed

    def _put(self, wire: Wire) -> None:
        self.wires.append(wire)
        self._names.add(wire.name)
        if isinstance(wire.layer, ParameterLayer):
            self._holders.add(wire.name)

    def _shares(self, layer: Layer, full: str, path: LayerPath, place: _Place) -> dict[str, str]:
        """Full names of the parameters that the layer shares.

        Of the repeats of a layer that shares with one of them, that one owns the parameter.
        """
        share = layer.share if isinstance(layer, ParameterLayer) else None
        asked = [(None, share)] if isinstance(share, str) else list((share or {}).items())
        found = {}
        for own, target in asked:
            scopes = [place.prefix[:end] for end in _ends(place.prefix)]
            owned = self._owned(target, scopes)
            if owned is None and place.prefix and full in (owner for owner, _ in _parted(target)):
                continue
            if owned is not None:
                found[own or owned.theirs] = f"{owned.layer}.{owned.theirs}"
            elif (path, target) not in self._unknown:
                owner = target.rpartition(".")[0]
                few = len(self._unknown) < _MOST_HINTS  # a hint compares all names
                near = did_you_mean(owner, sorted(self._names)) if few else ""
                self._unknown[path, target] = _Unknown(full, owner, target, scopes, near)
        return found

    def _owned(self, target: str, scopes: Sequence[str]) -> _Owned | None:
        """The layer so far that a shared parameter is of, as it is called from the nearest of the scopes."""
        for scope in scopes:
            for owner, theirs in _parted(target):
                if scope + owner in (self._holders if "." in theirs else self._names):
                    return _Owned(scope + owner, owner, theirs)
        return None

    def tell_unknown(self) -> None:
        """Make errors of what is shared with no layer above, once for all repeats: every layer is known now."""
        for (path, _), each in self._unknown.items():
            owned = self._owned(each.target, each.scopes)
            if owned is None:
                hint = each.near or "; it is the name of a layer above, and its parameter's"
                reason = f"unknown layer '{each.owner}' of '{each.target}'{hint}"
            elif owned.layer == each.full:
                of_repeats = f"to share it among repeats name that of the first, {each.full}.{owned.theirs}"
                reason = f"'{each.target}' is its own; {of_repeats if '.' in each.full else 'leave share out'}"
            else:
                reason = f"'{owned.called}' is below it; let {owned.called} share that of {each.full}"
            self.errors.append(WiringError(path, "share", f"layer {each.full}: share: {reason}"))


class _Owned(NamedTuple):
    """A parameter ``theirs`` of a layer: the layer's full name, and what it is called."""

    layer: str
    called: str
    theirs: str


class _Unknown(NamedTuple):
    """A layer shares a parameter with one that is not above it."""

    full: str
    owner: str
    target: str
    scopes: Sequence[str]
    near: str


def _ends(prefix: str) -> list[int]:
    """Lengths of ``block_1.3.``, ``block_1.`` and the empty text: the scopes that a name may be told from."""
    return [end for end in range(len(prefix), -1, -1) if end == 0 or prefix[end - 1] == "."]


def _parted(target: str) -> Iterator[tuple[str, str]]:
    """Ways to part a full name into a layer's and its parameter's, both of which may have dots (out_proj.weight)."""
    owner = target
    while "." in owner:
        owner = owner.rpartition(".")[0]
        yield owner, target[len(owner) + 1 :]


def _as_trained(layer: Layer, place: _Place) -> Layer:
    """Frozen, where a block around it is."""
    is_frozen = isinstance(layer, ParameterLayer) and not place.trainable
    return layer.model_copy(update={"trainable": False}) if is_frozen else layer
