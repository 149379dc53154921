"""The operations of a network, each with its local Jacobians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backprop_cli.accumulation.local_jacobian import LocalJacobian
from backprop_cli.accumulation.op_jacobians import local_jacobians
from backprop_cli.autodiff import Value
from backprop_cli.inspection.traced_example import TracedExample
from backprop_cli.json_object import JsonObject


@dataclass(frozen=True)
class OperandJacobian(JsonObject):
    """The local Jacobian by one operand. ``nonzeros``: number of entries that can differ from 0."""

    by: str
    shape: tuple[int, ...]
    structure: str
    nonzeros: int


@dataclass(frozen=True)
class Operation(JsonObject):
    """An op of the program. ``local_jacobian``: the first that is not 0, else the first."""

    name: str
    op: str
    layer: str | None
    shape: tuple[int, ...]
    local_jacobian: OperandJacobian | None
    local_jacobians: Sequence[OperandJacobian]


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
