"""Program -> Plan: every value gets memory, every op becomes one bound call; a run is a flat list of calls.

How values get memory. Each rule takes what the rules before it left:

1. A view costs nothing: it shares the memory of its operand.
2. The operands of a concatenation along the first axis are computed in place inside it. The gradient of all
   parameters thus is one vector without a copy.
3. The new value of a state is written over the old one if nothing reads the old one afterwards; else it is copied
   there at the end of the run.
4. An elementwise op reuses the memory of an operand that dies with it; also that of a state's old value, if the result
   dies before the new value is written.
5. A value that only a chain of elementwise ops reads takes one block, however large it is (see ``tiling``), and nothing
   if the chain is compiled (see ``fusion``).
6. All other values share one arena, packed greedily by size (Pisarchyk & Lee 2020, arXiv 2001.03288, "greedy by
   size"): two values overlap in it only if their lifetimes do not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from backprop_cli.autodiff.ops.copies import Copy
from backprop_cli.autodiff.ops.pieces import Concat
from backprop_cli.autodiff.ops.shape import Reshape
from backprop_cli.autodiff.program import Program
from backprop_cli.autodiff.spec import Array, Spec, spec_of
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError
from backprop_cli.execution import kernels
from backprop_cli.execution.arena import FOREVER, Storage, aligned, lower_bound, pack
from backprop_cli.execution.passes import numbers_first, shown_by
from backprop_cli.execution.tiling import Chain, find_chains
from backprop_cli.memory import check_memory

if TYPE_CHECKING:
    from backprop_cli.execution.fusion import Nest


Binder = Callable[[Value, Sequence[Array], Array], object]
"""Makes what stands for one node, from the arrays of its operands and its own."""


class Plan:
    """A program bound to buffers. ``run()`` computes the outputs and updates the states, allocating nothing.

    Write into ``inputs[name]``, call ``run()``, read ``outputs[name]`` (valid until the next run, or until you write
    into the input that it is a view of). ``arrays`` binds inputs to existing arrays, which may not overlap: plans
    for different batch sizes share parameters that way. ``compiled`` makes machine code of all ops that compile (see
    ``fusion``), which needs a C compiler; ``threads`` then share its large loops.

    A run is silent: numbers that overflow become infinite or NaN without a warning.

    ``peak_bytes`` is the arena's size, ``lower_bound_bytes`` the largest sum of the values alive at once.
    """

    def __init__(
        self,
        program: Program,
        arrays: Mapping[str, Array] | None = None,
        *,
        compiled: bool = False,
        threads: int = 1,
    ):
        self.program = program
        self.inputs: dict[str, Array] = {}
        for name, value in program.inputs.items():
            array = (arrays or {}).get(name)
            if array is not None and spec_of(array) != value.spec:
                raise ShapeError(f"input {name!r}", "bound to another spec", expected=value.spec, given=spec_of(array))
            self.inputs[name] = aligned(value.spec) if array is None else array
        program = read_before_update(numbers_first(program))
        layout = placed(program, self.inputs, compiled)
        self.peak_bytes, self.lower_bound_bytes = _give_memory(layout, self.inputs)
        calls, values = bound(program, layout, self.inputs)
        if compiled:  # what compiles is imported only then: it takes 4 ms
            from backprop_cli.execution.native import linked

            calls = linked(calls, threads)
        self._calls = calls
        self.outputs: dict[str, Array] = {name: values[value] for name, value in program.outputs.items()}
        # A context that ignores overflow: entering it takes 0.1 us, where ``np.errstate`` takes as long as some calls.
        self._silent = Context()
        self._silent.run(partial(np.seterr, all="ignore"))

    @property
    def calls(self) -> int:
        """Number of calls a run makes, of NumPy or of machine code."""
        return len(self._calls)

    def run(self) -> None:
        """One run of the program."""
        self._silent.run(self._run)

    def _run(self) -> None:
        for call in self._calls:
            call()


@dataclass(eq=False)
class _Layout:
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
    copy: Callable[[Array, Array], Any] = field(default_factory=lambda: _copy)  # of one array to another, as a call


def read_before_update(program: Program) -> Program:
    """Copy outputs and updates that show a state which is itself updated: they are due as it was before the run."""
    updates = {name: new for name, new in program.updates.items() if new is not program.inputs[name]}
    states = {program.inputs[name] for name in updates}
    shown = {value for value in (*program.outputs.values(), *updates.values()) if shown_by(value) in states}
    safe = {value: Copy()(value) for value in sorted(shown, key=lambda value: value.index)}
    outputs = {name: safe.get(value, value) for name, value in program.outputs.items()}
    return Program(program.inputs, outputs, {name: safe.get(new, new) for name, new in updates.items()})


def placed(program: Program, inputs: Mapping[str, Array], compiled: bool, portable: bool = False) -> _Layout:
    """Where the values of a program live. ``portable``: see ``find_nests``; ops then have no scratch memory."""
    layout = _Layout()
    ghosts = _find_bases(program, layout, inputs)
    _find_slots(program, layout)
    _find_lifetimes(program, layout)
    _find_targets(program, layout, inputs)
    _find_storage(program, layout)
    if portable:
        layout.scratch = dict.fromkeys(layout.scratch, ())
    if compiled:
        from backprop_cli.execution.fusion import copy, find_nests

        layout.copy = copy
        layout.chains = find_nests(program.nodes, layout.base, _imagined(program, layout, inputs), portable)
    else:
        layout.chains = find_chains(program.nodes, layout.base, ghosts)
    _shorten_chains(program, layout)
    return layout


def _imagined(program: Program, layout: _Layout, inputs: Mapping[str, Array]) -> dict[Value, Array]:
    """The arrays of all values before the arena is known: values share memory as they will."""
    storages = {id(s): s for s in layout.storage.values() if not s.external}
    for storage in storages.values():
        storage.array = np.empty(storage.spec.shape, storage.spec.dtype)
    values = _arrays(program, layout, inputs)
    for storage in storages.values():
        storage.array = None
    return values


# Rule 1: views


def _find_bases(program: Program, layout: _Layout, inputs: Mapping[str, Array]) -> dict[Value, Array]:
    """Try each view on memory of the right strides. ``np.empty`` touches no page, so this costs no memory."""
    ghosts: dict[Value, Array] = {value: inputs[name] for name, value in program.inputs.items()}
    for node in program.nodes:
        layout.base[node] = node
        if node.op is None:
            ghosts.setdefault(node, node.array if node.array is not None else np.empty(node.shape, node.dtype))
            continue
        view = node.op.view(ghosts[node.inputs[0]]) if node.op.is_view else None
        if view is not None:
            layout.base[node] = layout.base[node.inputs[0]]
        ghosts[node] = np.empty(node.shape, node.dtype) if view is None else view
    return ghosts


# Rule 2: concatenations


def _find_slots(program: Program, layout: _Layout) -> None:
    """Operands of a concatenation along the first axis, seen through reshapes, are made inside it."""
    for node in program.nodes:
        if not _has_slots(node):
            continue
        for number, operand in enumerate(node.inputs):
            made = operand
            while isinstance(made.op, Reshape):
                made = made.inputs[0]
            if made.op is not None and not _has_slots(made) and not made.op.is_view and made not in layout.slot_of:
                layout.slot_of[made] = (node, number)


def _has_slots(node: Value) -> bool:
    """A concatenation whose operands can be computed in place: each is one contiguous piece of it."""
    return isinstance(node.op, Concat) and node.op.axis == 0


# Rule 3: states


def _find_lifetimes(program: Program, layout: _Layout) -> None:
    for position, node in enumerate(program.nodes):
        layout.positions[node] = position
        for operand in node.inputs:
            layout.last_use[layout.base[operand]] = position
    for value in program.outputs.values():
        layout.last_use[layout.base[value]] = FOREVER


def _find_targets(program: Program, layout: _Layout, inputs: Mapping[str, Array]) -> None:
    """The new values that take the memory of their state; the others are copied at the end."""
    for name, new in program.updates.items():
        state = program.inputs[name]
        computed = new.op is not None and layout.base[new] is new
        bound = new in layout.targets or new in layout.slot_of or _has_slots(new)
        if computed and not bound and inputs[name].flags.c_contiguous and _may_overwrite(new, state, layout):
            layout.targets[new] = state
        else:
            layout.last_use[layout.base[new]] = FOREVER
            layout.copied.append((name, new))


def _may_overwrite(new: Value, old: Value, layout: _Layout) -> bool:
    """Whether nothing reads ``old``, a base value, after ``new`` is written; ``new`` itself may, in place."""
    assert new.op is not None
    position, last = layout.positions[new], layout.last_use.get(old, -1)
    if last < position:
        return True
    readers = [operand for operand in new.inputs if layout.base[operand] is old]
    return last == position and kernels.runs_in_place(new.op) and all(operand is old for operand in readers)


# Rule 4: operands that die


def _find_storage(program: Program, layout: _Layout) -> None:
    """The memory of every base value, and of the scratch of its op."""
    for node in [*program.inputs.values(), *program.nodes]:
        if node.op is None and node not in layout.storage:
            layout.storage[node] = Storage(node.spec, external=True, array=node.array)
    for new, state in layout.targets.items():
        layout.successors[id(layout.storage[state])] = new
        layout.storage[state].death = layout.last_use.get(state, -1)
    for position, node in enumerate(program.nodes):
        if node.op is None or layout.base[node] is not node:
            continue
        storage = _storage_for(node, position, layout)
        storage.use(position)
        storage.use(layout.last_use.get(node, position))
        layout.storage[node] = storage
        specs = kernels.scratch(node.op, *(x.spec for x in node.inputs))
        layout.scratch[node] = tuple(Storage(spec, position, position) for spec in specs)


def _storage_for(node: Value, position: int, layout: _Layout) -> Storage:
    if node in layout.targets:
        return layout.storage[layout.targets[node]]
    if node in layout.slot_of:
        concat = layout.slot_of[node][0]
        if concat not in layout.storage:
            layout.storage[concat] = Storage(concat.spec)
        return layout.storage[concat]
    if node in layout.storage:  # a concatenation whose first operand has been made
        return layout.storage[node]
    return _dying_operand(node, position, layout) or Storage(node.spec)


def _dying_operand(node: Value, position: int, layout: _Layout) -> Storage | None:
    """The memory of an operand of the same spec that nothing reads after this op.

    Not of a single number, which NumPy would copy: 0.6 us instead of 0.2.
    """
    assert node.op is not None
    if not kernels.runs_in_place(node.op) or node.size == 1:
        return None
    for operand in node.inputs:
        storage = layout.storage[layout.base[operand]]
        whole = layout.base[operand] is operand and operand not in layout.slot_of and storage.spec == node.spec
        shared = any(other is not operand and layout.storage[layout.base[other]] is storage for other in node.inputs)
        if whole and not shared and storage.death <= position and _is_free_for(node, storage, layout):
            return storage
    return None


def _is_free_for(node: Value, storage: Storage, layout: _Layout) -> bool:
    """Whether it is the arena's memory, or a state's that ``node`` leaves in time for the new value."""
    new = layout.successors.get(id(storage))
    return not storage.external if new is None else _may_overwrite(new, node, layout)


# Rule 5: chains


def _shorten_chains(program: Program, layout: _Layout) -> None:
    """All memory that a chain touches is in use from its first op to its last: they are interleaved."""
    viewed = {base for value, base in layout.base.items() if value is not base}
    shown = viewed | set(layout.slot_of) | {concat for concat, _ in layout.slot_of.values()}
    fixed = {id(layout.storage[base]) for base in shown if base in layout.storage}
    storages = {id(s): s for s in layout.storage.values() if not s.external}
    born = sorted(storages.values(), key=_birth)
    for chain in layout.chains:
        for node in chain.nodes:
            layout.scratch[node] = tuple(
                Storage(Spec((chain.room,), s.spec.dtype), chain.first, chain.last) for s in layout.scratch[node]
            )
        whole = fixed | {id(layout.storage[node]) for node in chain.remembered}
        inside = bisect_left(born, float(chain.first), key=_birth), bisect_right(born, float(chain.last), key=_birth)
        for storage in born[slice(*inside)]:
            storage.birth = chain.first  # `born` stays sorted: chains do not overlap
            if storage.death <= chain.last and id(storage) not in whole:
                storage.spec = Spec((chain.room,), storage.spec.dtype)


def _birth(storage: Storage) -> float:
    return storage.birth


# Rule 6: the arena


def _give_memory(layout: _Layout, inputs: Mapping[str, Array]) -> tuple[int, int]:
    """Cut all storages from one arena; its size, and the least that any arena needs."""
    storages = {id(s): s for s in layout.storage.values() if not s.external}
    storages |= {id(s): s for scratch in layout.scratch.values() for s in scratch}
    size = pack(list(storages.values()))
    held = sum(array.nbytes for array in inputs.values())
    check_memory(held + size, "the arrays of a batch, the network and its gradients")
    arena = aligned(Spec((size,), np.dtype(np.uint8)))
    for storage in storages.values():
        memory = arena[storage.offset : storage.offset + storage.spec.nbytes]
        storage.array = memory.view(storage.spec.dtype).reshape(storage.spec.shape)
    return size, lower_bound(list(storages.values()))


# The calls


def bound(
    program: Program, layout: _Layout, inputs: Mapping[str, Array], bind: Binder | None = None
) -> tuple[list[Any], dict[Value, Array]]:
    """The calls (and the pieces that are compiled to calls), and the array of every value.

    ``bind``: what stands for an op that is in no chain; by default its NumPy calls.
    """
    values = _arrays(program, layout, inputs)
    calls: list[Any] = []
    ends = {chain.nodes[-1]: chain for chain in layout.chains}
    chained = {node for chain in layout.chains for node in chain.nodes}
    for node in program.nodes:
        if node in ends:
            calls += _chain_calls(ends[node], layout, values)
        elif node.op is not None and layout.base[node] is node and node not in chained:
            calls += _calls(node, layout, values, bind)
    return [*calls, *(layout.copy(values[new], inputs[name]) for name, new in layout.copied)], values


def _arrays(program: Program, layout: _Layout, inputs: Mapping[str, Array]) -> dict[Value, Array]:
    """The array of every value, in the memory of its storage."""
    values: dict[Value, Array] = {value: inputs[name] for name, value in program.inputs.items()}
    for name, value in program.inputs.items():
        layout.storage[value].array = inputs[name]
    slots: dict[Value, list[Array]] = {}
    for node in program.nodes:
        if node in values:
            continue
        if node.array is not None:
            values[node] = node.array
        elif node.op is not None and layout.base[node] is not node:
            view = node.op.view(values[node.inputs[0]])
            assert view is not None
            values[node] = view
        else:
            values[node] = _home(node, layout, slots)
    return values


def _copy(x: Array, to: Array) -> Callable[[], object]:
    return partial(np.copyto, to, x)


def _home(node: Value, layout: _Layout, slots: dict[Value, list[Array]]) -> Array:
    """The array of a node; ``slots`` keeps the pieces of concatenations: a gradient has thousands."""
    array = layout.storage[node].array
    assert array is not None
    if array.size == 0:
        # A value in a register, or nothing: an array to read the shape from, whose memory stays untouched.
        return np.empty(node.shape, node.dtype)
    if node in layout.slot_of:
        concat, number = layout.slot_of[node]
        assert isinstance(concat.op, Concat)
        if concat not in slots:
            slots[concat] = concat.op.slots(array, *concat.inputs)
        array = slots[concat][number]
    # Ops in place get one array object twice: of two views NumPy has to find out that they are the same (0.2 us).
    return array if array.shape == node.shape or array.size != node.size else array.reshape(node.shape)


def _chain_calls(chain: Chain | Nest, layout: _Layout, values: Mapping[Value, Array]) -> list[Any]:
    if isinstance(chain, Chain):
        return chain.bind(values, {node: _scratch(node, layout) for node in chain.nodes})

    def kept(node: Value) -> bool:
        return layout.last_use.get(node, -1) > chain.last or node in layout.targets or node in layout.slot_of

    return chain.bind(values, kept)


def _scratch(node: Value, layout: _Layout) -> tuple[Array, ...]:
    return tuple(s.array for s in layout.scratch[node] if s.array is not None)


def _calls(node: Value, layout: _Layout, values: Mapping[Value, Array], bind: Binder | None) -> list[Any]:
    assert node.op is not None
    operands = [values[operand] for operand in node.inputs]
    if isinstance(node.op, Concat) and _has_slots(node):
        here = {number for concat, number in layout.slot_of.values() if concat is node}
        slots = node.op.slots(values[node], *node.inputs)
        return [
            partial(np.copyto, slot, x)
            for i, (slot, x) in enumerate(zip(slots, operands, strict=True))
            if i not in here
        ]
    if bind is not None:
        return [bind(node, operands, values[node])]
    return list(kernels.flat(kernels.bind(node.op, *operands, out=values[node], scratch=_scratch(node, layout))))
