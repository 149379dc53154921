"""WrittenPlan: a program placed in memory like a ``Plan``, to be written in another language instead of run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from backprop_cli.autodiff.op import Op
from backprop_cli.autodiff.ops.copies import Copy
from backprop_cli.autodiff.ops.shape import Reshape
from backprop_cli.autodiff.program import Program
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.execution.arena import Storage, aligned, pack
from backprop_cli.execution.fusion import Nest
from backprop_cli.execution.groups import Group
from backprop_cli.execution.nest_text import Assignments
from backprop_cli.execution.passes import numbers_first, read_before_update
from backprop_cli.execution.placement import placed
from backprop_cli.execution.plan import bound


class Step(NamedTuple):
    """``out = op(*x)`` in a ``layer``, of an op that is in no nest."""

    op: Op
    x: Sequence[Array]
    out: Array
    layer: str | None = None


class Loops(NamedTuple):
    """One nest of loops, and the values that it computes."""

    nodes: Sequence[Value]
    nest: Assignments


class WrittenPlan:
    """The pieces of a program in their order, and the arrays they read and write.

    ``inputs`` and ``outputs`` are arrays by name. Outputs have memory of their own, which is the caller's, and so have
    inputs, except those of ``own``, which share ``memory`` with intermediate values: ``memory`` has an array for each
    element type. ``constants``: arrays that are known.
    """

    def __init__(self, program: Program, own: Collection[str] = ()):
        self.program = read_before_update(numbers_first(program))
        self.inputs: dict[str, Array] = {name: aligned(value.spec) for name, value in program.inputs.items()}
        placement = placed(self.program, self.inputs, compiled=True, portable=True)
        inside: dict[str, Storage] = {}
        for name, value in self.program.outputs.items():
            storage = placement.storage[placement.base[value]]
            if not storage.external and storage.spec.size == value.size and _in_order(value, placement.base[value]):
                storage.external, storage.array = True, aligned(storage.spec)
                inside[name] = storage
        for name in own:
            value = self.program.inputs[name]
            storage = placement.storage[value]
            storage.external, storage.birth, storage.death = False, -1, placement.last_use.get(value, -1)
        self.memory = _memory(placement.storage.values())
        self.inputs |= {name: _array(placement.storage[self.program.inputs[name]]) for name in own}
        pieces, values = bound(self.program, placement, self.inputs, _copy, _step)
        groups = (group for chain in placement.chains if isinstance(chain, Nest) for group in chain.groups)
        self.pieces = [_piece(piece, groups) for piece in pieces]
        shown = self.program.outputs
        self.outputs = {name: _array(storage).reshape(shown[name].shape) for name, storage in inside.items()}
        for name, value in shown.items():
            if name not in inside:
                self.outputs[name] = aligned(value.spec)
                self.pieces.append(Step(Copy(), (values[value],), self.outputs[name]))
        self.constants = [value.array for value in self.program.nodes if value.array is not None]


def _in_order(value: Value, base: Value) -> bool:
    """Whether ``value`` shows the elements of ``base`` in their order."""
    while value is not base and isinstance(value.op, Reshape):
        value = value.inputs[0]
    return value is base


def _memory(storages: Iterable[Storage]) -> dict[str, Array]:
    """Give memory to those that are not external: an array for each element type, by its name."""
    found: dict[str, Array] = {}
    kinds: dict[np.dtype[Any], dict[int, Storage]] = {}
    for storage in storages:
        if not storage.external:
            kinds.setdefault(storage.spec.dtype, {})[id(storage)] = storage
    for dtype, group in kinds.items():
        for storage in group.values():
            storage.alignment = dtype.itemsize
        size = pack(list(group.values())) // dtype.itemsize
        found[dtype.name] = memory = aligned(Spec((size,), dtype))
        for storage in group.values():
            start = storage.offset // dtype.itemsize
            storage.array = memory[start : start + storage.spec.size].reshape(storage.spec.shape)
    return found


def _array(storage: Storage) -> Array:
    assert storage.array is not None
    return storage.array


def _step(node: Value, x: Sequence[Array], out: Array) -> Step:
    assert node.op is not None
    return Step(node.op, tuple(x), out, node.layer)


def _copy(x: Array, to: Array) -> Step:
    return Step(Copy(), (x,), to)


def _piece(piece: Any, groups: Iterator[Group]) -> Loops | Step:
    """A piece with the nodes of the next of ``groups``, if it is a nest."""
    if isinstance(piece, Assignments):
        members = (each.place[0] for phase in next(groups).phases for each in phase)
        return Loops(tuple(dict.fromkeys(members)), piece)
    assert isinstance(piece, Step)
    return piece
