"""The operations of a network, each with its local Jacobians."""

from __future__ import annotations

from collections.abc import Sequence

from backprop_cli.accumulation.local_jacobian import LocalJacobian
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.autodiff import Value
from backprop_cli.inspection.traced_example import TracedExample
from backprop_cli.json_object import JsonObject


class OperandJacobian(JsonObject):
    """The local Jacobian of an op by one operand."""

    by: str
    """The operand."""
    shape: tuple[int, ...]
    """Shape of the result, followed by that of the operand."""
    structure: str
    """``zero``, ``identity``, ``permutation``, ``selection``, ``diagonal``, ``broadcast``, ``sum``, ``dense``, ``block
    diagonal`` or ``sparse``.
    """
    nonzeros: int
    """Number of entries that can differ from 0."""


class Operation(JsonObject):
    """An op of the program."""

    name: str
    """Name of the result: its layer and the op."""
    op: str
    """The op."""
    layer: str | None
    """The layer that it belongs to; null if it belongs to none."""
    shape: tuple[int, ...]
    """Shape of the result for a batch of one example."""
    local_jacobian: OperandJacobian | None
    """The first local Jacobian that is not 0, else the first; null without operands."""
    local_jacobians: Sequence[OperandJacobian]
    """The local Jacobians by all operands."""


def operations(traced: TracedExample) -> list[Operation]:
    """All ops, operands first."""
    found = []
    for node, name in traced.names.items():
        if node.op is None:
            continue
        structures = local_jacobians(node.op, node.inputs, node)
        entries = [
            _operand(traced.names.get(x, "constant"), node, x, structure)
            for x, structure in zip(node.inputs, structures, strict=True)
            if not x.is_constant
        ]
        main = next((entry for entry in entries if entry.nonzeros), entries[0] if entries else None)
        found.append(Operation(name, node.op.kind, node.layer, node.shape, main, entries))
    return found


def _operand(by: str, node: Value, x: Value, structure: LocalJacobian | None) -> OperandJacobian:
    kind, nonzeros = ("zero", 0) if structure is None else (structure.kind, structure.nonzeros)
    return OperandJacobian(by, (*node.shape, *x.shape), kind, nonzeros)
