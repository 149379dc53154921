"""Program -> Plan: every value gets memory (see ``placement``), every op one bound call; a run is a list of calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from backprop_cli.autodiff.ops.pieces import Concat
from backprop_cli.autodiff.program import Program
from backprop_cli.autodiff.spec import Array, spec_of
from backprop_cli.autodiff.value import Value
from backprop_cli.errors import ShapeError
from backprop_cli.execution import kernels
from backprop_cli.execution.arena import aligned
from backprop_cli.execution.passes import numbers_first, read_before_update, transposed_once
from backprop_cli.execution.placement import Placement, arrays_of, give_memory, has_slots, placed
from backprop_cli.execution.tiling import Chain

if TYPE_CHECKING:
    from backprop_cli.execution.fusion import Nest
    from backprop_cli.execution.row_blocks import Found


Binder = Callable[[Value, Sequence[Array], Array], object]
"""Makes what stands for one node, from the arrays of its operands and its own."""

Copier = Callable[[Array, Array], object]
"""Makes what stands for a copy of the first array to the second."""


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
        if compiled:
            program = transposed_once(program)
        placement = placed(program, self.inputs, compiled)
        self.peak_bytes, self.lower_bound_bytes = give_memory(placement, self.inputs)
        if compiled:  # what compiles is imported only then: it takes 4 ms
            from backprop_cli.execution.fusion import copy
            from backprop_cli.execution.native import linked

            pieces, values = bound(program, placement, self.inputs, copy)
            self._calls = linked(pieces, threads)
        else:
            self._calls, values = bound(program, placement, self.inputs, _copy)
        self.outputs: dict[str, Array] = {name: values[value] for name, value in program.outputs.items()}
        # A context that ignores overflow: entering it takes 0.1 us, where ``np.errstate`` takes as long as some calls.
        self._silent = Context()
        self._silent.run(partial(np.seterr, all="ignore"))

    @property
    def calls(self) -> int:
        """Number of calls a run makes, of NumPy or of machine code."""
        return len(self._calls)

    @property
    def only_call(self) -> Callable[[], object] | None:
        """The call that a run makes, if there is only one."""
        return self._calls[0] if len(self._calls) == 1 else None

    def run(self) -> None:
        """One run of the program."""
        self._silent.run(self._run)

    def _run(self) -> None:
        for call in self._calls:
            call()


def bound(
    program: Program, placement: Placement, inputs: Mapping[str, Array], copy: Copier, bind: Binder | None = None
) -> tuple[list[Any], dict[Value, Array]]:
    """The calls (and the pieces that are compiled to calls), and the array of every value.

    ``bind``: what stands for an op that is in no chain; by default its NumPy calls.
    """
    values = arrays_of(program, placement, inputs)
    calls: list[Any] = []
    ends = {chain.nodes[-1]: chain for chain in placement.chains}
    blocks: dict[Chain | Nest, Found] = {blocks.nests[-1]: blocks for blocks in placement.blocks}
    starts: dict[Chain | Nest, int] = {}
    chained = {node for chain in placement.chains for node in chain.nodes}
    for node in program.nodes:
        if node in ends:
            chain = ends[node]
            starts[chain] = len(calls)
            calls += _chain_calls(chain, placement, values)
            if chain in blocks:
                start = starts[blocks[chain].nests[0]]
                calls[start:] = [blocks[chain].bind(calls[start:])]
        elif node.op is not None and placement.base[node] is node and node not in chained:
            calls += _calls(node, placement, values, copy, bind)
    return [*calls, *(copy(values[new], inputs[name]) for name, new in placement.copied)], values


def _copy(x: Array, to: Array) -> Callable[[], object]:
    return partial(np.copyto, to, x)


def _chain_calls(chain: Chain | Nest, placement: Placement, values: Mapping[Value, Array]) -> list[Any]:
    if isinstance(chain, Chain):
        return chain.bind(values, {node: _scratch(node, placement) for node in chain.nodes})

    def kept(node: Value) -> bool:
        return placement.last_use.get(node, -1) > chain.last or node in placement.targets or node in placement.slot_of

    return chain.bind(values, kept)


def _scratch(node: Value, placement: Placement) -> tuple[Array, ...]:
    return tuple(s.array for s in placement.scratch[node] if s.array is not None)


def _calls(
    node: Value, placement: Placement, values: Mapping[Value, Array], copy: Copier, bind: Binder | None
) -> list[Any]:
    assert node.op is not None
    operands = [values[operand] for operand in node.inputs]
    if isinstance(node.op, Concat) and has_slots(node):
        here = {number for concat, number in placement.slot_of.values() if concat is node}
        slots = node.op.slots(values[node], *node.inputs)
        return [copy(x, slot) for i, (slot, x) in enumerate(zip(slots, operands, strict=True)) if i not in here]
    if bind is not None:
        return [bind(node, operands, values[node])]
    return list(kernels.flat(kernels.bind(node.op, *operands, out=values[node], scratch=_scratch(node, placement))))
