"""Placement: where every value of a program lives, and in which memory.

Each rule takes what the rules before it left:

1. A view costs nothing: it shares the memory of its operand.
2. The operands of a concatenation along the first axis are computed in place inside it. The gradient of all
   parameters thus is one vector without a copy.
3. The new value of a state is written over the old one if nothing reads the old one afterwards; else it is copied
   there at the end of the run.
4. An elementwise op reuses the memory of an operand that dies with it; also that of a state's old value, if the result
   dies before the new value is written.
5. A value that only a chain of elementwise ops reads takes one block, however large it is (see ``tiling``), and nothing
   if the chain is compiled (see ``fusion``).
6. Nests that go by blocks of rows keep what they touch from the first to the last of them (see ``row_blocks``).
7. All other values share one arena, packed greedily by size (Pisarchyk & Lee 2020, arXiv 2001.03288, "greedy by
   size"): two values overlap in it only if their lifetimes do not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from backprop_cli.autodiff.ops.pieces import Concat
from backprop_cli.autodiff.ops.shape import Reshape
from backprop_cli.autodiff.program import Program
from backprop_cli.autodiff.spec import Array, Spec
from backprop_cli.autodiff.value import Value
from backprop_cli.execution import kernels
from backprop_cli.execution.arena import FOREVER, Storage, aligned, lower_bound, pack
from backprop_cli.execution.tiling import Chain, find_chains
from backprop_cli.memory import check_memory

if TYPE_CHECKING:
    from backprop_cli.execution.fusion import Nest
    from backprop_cli.execution.row_blocks import Found


@dataclass(eq=False)
class Placement:
    """Where values live. ``base`` of a value is the value whose memory it views: itself, if it is no view."""

    base: dict[Value, Value] = field(default_factory=dict)
    slot_of: dict[Value, tuple[Value, int]] = field(default_factory=dict)  # base value -> (concat, operand number)
    positions: dict[Value, int] = field(default_factory=dict)
    last_use: dict[Value, float] = field(default_factory=dict)  # of base values
    targets: dict[Value, Value] = field(default_factory=dict)  # new value -> the state whose memory it takes
    copied: list[tuple[str, Value]] = field(default_factory=list)  # states that are updated by a copy at the end
    successors: dict[int, Value] = field(default_factory=dict)  # id of a state's storage -> the new value
    storage: dict[Value, Storage] = field(default_factory=dict)  # of base values
    scratch: dict[Value, tuple[Storage, ...]] = field(default_factory=dict)
    chains: Sequence[Chain | Nest] = ()
    blocks: Sequence[Found] = ()


def placed(program: Program, inputs: Mapping[str, Array], compiled: bool, portable: bool = False) -> Placement:
    """Where the values of a program live. ``portable``: see ``find_nests``; ops then have no scratch memory."""
    placement = Placement()
    ghosts = _find_bases(program, placement, inputs)
    _find_slots(program, placement)
    _find_lifetimes(program, placement)
    _find_targets(program, placement, inputs)
    _find_storage(program, placement)
    if portable:
        placement.scratch = dict.fromkeys(placement.scratch, ())
    if compiled:
        from backprop_cli.execution.fusion import find_nests
        from backprop_cli.execution.row_blocks import find_blocks

        imagined = _imagined(program, placement, inputs)
        placement.chains = nests = find_nests(program.nodes, placement.base, imagined, portable)
        placement.blocks = [] if portable else find_blocks(program.nodes, placement.base, nests, imagined)
    else:
        placement.chains = find_chains(program.nodes, placement.base, ghosts)
    _shorten_chains(program, placement)
    for blocks in placement.blocks:  # rule 6
        blocks.hold(placement.storage, placement.base, placement.slot_of)
    return placement


def _imagined(program: Program, placement: Placement, inputs: Mapping[str, Array]) -> dict[Value, Array]:
    """The arrays of all values before the arena is known: values share memory as they will."""
    storages = {id(s): s for s in placement.storage.values() if not s.external}
    for storage in storages.values():
        storage.array = np.empty(storage.spec.shape, storage.spec.dtype)
    values = arrays_of(program, placement, inputs)
    for storage in storages.values():
        storage.array = None
    return values


# Rule 1: views


def _find_bases(program: Program, placement: Placement, inputs: Mapping[str, Array]) -> dict[Value, Array]:
    """Try each view on memory of the right strides. ``np.empty`` touches no page, so this costs no memory."""
    ghosts: dict[Value, Array] = {value: inputs[name] for name, value in program.inputs.items()}
    for node in program.nodes:
        placement.base[node] = node
        if node.op is None:
            ghosts.setdefault(node, node.array if node.array is not None else np.empty(node.shape, node.dtype))
            continue
        view = node.op.view(ghosts[node.inputs[0]]) if node.op.is_view else None
        if view is not None:
            placement.base[node] = placement.base[node.inputs[0]]
        ghosts[node] = np.empty(node.shape, node.dtype) if view is None else view
    return ghosts


# Rule 2: concatenations


def _find_slots(program: Program, placement: Placement) -> None:
    """Operands of a concatenation along the first axis, seen through reshapes, are made inside it."""
    for node in program.nodes:
        if not has_slots(node):
            continue
        for number, operand in enumerate(node.inputs):
            made = operand
            while isinstance(made.op, Reshape):
                made = made.inputs[0]
            if made.op is not None and not has_slots(made) and not made.op.is_view and made not in placement.slot_of:
                placement.slot_of[made] = (node, number)


def has_slots(node: Value) -> bool:
    """A concatenation whose operands can be computed in place: each is one contiguous piece of it."""
    return isinstance(node.op, Concat) and node.op.axis == 0


# Rule 3: states


def _find_lifetimes(program: Program, placement: Placement) -> None:
    for position, node in enumerate(program.nodes):
        placement.positions[node] = position
        for operand in node.inputs:
            placement.last_use[placement.base[operand]] = position
    for value in program.outputs.values():
        placement.last_use[placement.base[value]] = FOREVER


def _find_targets(program: Program, placement: Placement, inputs: Mapping[str, Array]) -> None:
    """The new values that take the memory of their state; the others are copied at the end."""
    for name, new in program.updates.items():
        state = program.inputs[name]
        computed = new.op is not None and placement.base[new] is new
        bound = new in placement.targets or new in placement.slot_of or has_slots(new)
        if computed and not bound and inputs[name].flags.c_contiguous and _may_overwrite(new, state, placement):
            placement.targets[new] = state
        else:
            placement.last_use[placement.base[new]] = FOREVER
            placement.copied.append((name, new))


def _may_overwrite(new: Value, old: Value, placement: Placement) -> bool:
    """Whether nothing reads ``old``, a base value, after ``new`` is written; ``new`` itself may, in place."""
    assert new.op is not None
    position, last = placement.positions[new], placement.last_use.get(old, -1)
    if last < position:
        return True
    readers = [operand for operand in new.inputs if placement.base[operand] is old]
    return last == position and kernels.runs_in_place(new.op) and all(operand is old for operand in readers)


# Rule 4: operands that die


def _find_storage(program: Program, placement: Placement) -> None:
    """The memory of every base value, and of the scratch of its op."""
    for node in [*program.inputs.values(), *program.nodes]:
        if node.op is None and node not in placement.storage:
            placement.storage[node] = Storage(node.spec, external=True, array=node.array)
    for new, state in placement.targets.items():
        placement.successors[id(placement.storage[state])] = new
        placement.storage[state].death = placement.last_use.get(state, -1)
    for position, node in enumerate(program.nodes):
        if node.op is None or placement.base[node] is not node:
            continue
        storage = _storage_for(node, position, placement)
        storage.use(position)
        storage.use(placement.last_use.get(node, position))
        placement.storage[node] = storage
        specs = kernels.scratch(node.op, *(x.spec for x in node.inputs))
        placement.scratch[node] = tuple(Storage(spec, position, position) for spec in specs)


def _storage_for(node: Value, position: int, placement: Placement) -> Storage:
    if node in placement.targets:
        return placement.storage[placement.targets[node]]
    if node in placement.slot_of:
        concat = placement.slot_of[node][0]
        if concat not in placement.storage:
            placement.storage[concat] = Storage(concat.spec)
        return placement.storage[concat]
    if node in placement.storage:  # a concatenation whose first operand has been made
        return placement.storage[node]
    return _dying_operand(node, position, placement) or Storage(node.spec)


def _dying_operand(node: Value, position: int, placement: Placement) -> Storage | None:
    """The memory of an operand of the same spec that nothing reads after this op.

    Not of a single number, which NumPy would copy: 0.6 us instead of 0.2.
    """
    assert node.op is not None
    if not kernels.runs_in_place(node.op) or node.size == 1:
        return None
    storages = {operand: placement.storage[placement.base[operand]] for operand in node.inputs}
    for operand, storage in storages.items():
        whole = placement.base[operand] is operand and operand not in placement.slot_of and storage.spec == node.spec
        shared = any(one is storage for other, one in storages.items() if other is not operand)
        if whole and not shared and storage.death <= position and _is_free_for(node, storage, placement):
            return storage
    return None


def _is_free_for(node: Value, storage: Storage, placement: Placement) -> bool:
    """Whether it is the arena's memory, or a state's that ``node`` leaves in time for the new value."""
    new = placement.successors.get(id(storage))
    return not storage.external if new is None else _may_overwrite(new, node, placement)


# Rule 5: chains


def _shorten_chains(program: Program, placement: Placement) -> None:
    """All memory that a chain touches is in use from its first op to its last: they are interleaved."""
    viewed = {base for value, base in placement.base.items() if value is not base}
    shown = viewed | set(placement.slot_of) | {concat for concat, _ in placement.slot_of.values()}
    fixed = {id(placement.storage[base]) for base in shown if base in placement.storage}
    storages = {id(s): s for s in placement.storage.values() if not s.external}
    born = sorted(storages.values(), key=_birth)
    for chain in placement.chains:
        for node in chain.nodes:
            placement.scratch[node] = tuple(
                Storage(Spec((chain.room,), s.spec.dtype), chain.first, chain.last) for s in placement.scratch[node]
            )
        whole = fixed | {id(placement.storage[node]) for node in chain.remembered}
        inside = bisect_left(born, float(chain.first), key=_birth), bisect_right(born, float(chain.last), key=_birth)
        for storage in born[slice(*inside)]:
            storage.birth = chain.first  # `born` stays sorted: chains do not overlap
            if storage.death <= chain.last and id(storage) not in whole:
                storage.spec = Spec((chain.room,), storage.spec.dtype)


def _birth(storage: Storage) -> float:
    return storage.birth


# Rule 7: the arena


def give_memory(placement: Placement, inputs: Mapping[str, Array]) -> tuple[int, int]:
    """Cut all storages from one arena; its size, and the least that any arena needs."""
    storages = {id(s): s for s in placement.storage.values() if not s.external}
    storages |= {id(s): s for scratch in placement.scratch.values() for s in scratch}
    size = pack(list(storages.values()))
    held = sum(array.nbytes for array in inputs.values())
    check_memory(held + size, "the arrays of a batch, the network and its gradients")
    arena = aligned(Spec((size,), np.dtype(np.uint8)))
    for storage in storages.values():
        memory = arena[storage.offset : storage.offset + storage.spec.nbytes]
        storage.array = memory.view(storage.spec.dtype).reshape(storage.spec.shape)
    return size, lower_bound(list(storages.values()))


# The arrays


def arrays_of(program: Program, placement: Placement, inputs: Mapping[str, Array]) -> dict[Value, Array]:
    """The array of every value, in the memory of its storage."""
    values: dict[Value, Array] = {value: inputs[name] for name, value in program.inputs.items()}
    for name, value in program.inputs.items():
        placement.storage[value].array = inputs[name]
    slots: dict[Value, list[Array]] = {}
    for node in program.nodes:
        if node in values:
            continue
        if node.array is not None:
            values[node] = node.array
        elif node.op is not None and placement.base[node] is not node:
            view = node.op.view(values[node.inputs[0]])
            assert view is not None
            values[node] = view
        else:
            values[node] = _home(node, placement, slots)
    return values


def _home(node: Value, placement: Placement, slots: dict[Value, list[Array]]) -> Array:
    """The array of a node; ``slots`` keeps the pieces of concatenations: a gradient has thousands."""
    array = placement.storage[node].array
    assert array is not None
    if array.size == 0:
        # A value in a register, or nothing: an array to read the shape from, whose memory stays untouched.
        return np.empty(node.shape, node.dtype)
    if node in placement.slot_of:
        concat, number = placement.slot_of[node]
        assert isinstance(concat.op, Concat)
        if concat not in slots:
            slots[concat] = concat.op.slots(array, *concat.inputs)
        array = slots[concat][number]
    # Ops in place get one array object twice: of two views NumPy has to find out that they are the same (0.2 us).
    return array if array.shape == node.shape or array.size != node.size else array.reshape(node.shape)
