"""Program: named inputs, named outputs, and ``updates``: new values of inputs, such as of parameters after a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property

from backprop_cli.autodiff.value import Value, toposort
from backprop_cli.errors import UsageError
from backprop_cli.structs import Struct


class Program(Struct, eq=False):
    """A traced computation.

    ``updates`` maps the name of an input to its value after the run: a parameter after a step, or the optimizer's
    memory. All outputs and updates are computed from the inputs as they were before the run.
    """

    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    updates: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(isinstance(given, Mapping) for given in (self.inputs, self.outputs, self.updates)):
            raise UsageError('a program needs names for its values: Program({"x": x}, {"out": out})')
        named = {value: name for name, value in self.inputs.items()}
        if len(named) != len(self.inputs):
            raise UsageError("a program's inputs must be different values")
        for value in self.nodes:
            if value.is_input and value not in named:
                raise UsageError(f"input {value.name!r} is needed, but is not among the program's inputs")
        for name, value in self.updates.items():
            if name not in self.inputs:
                raise UsageError(f"update of {name!r}, which is not among the program's inputs")
            if value.spec != self.inputs[name].spec:
                raise UsageError(f"update of {name!r} is {value.spec}, the input is {self.inputs[name].spec}")

    @cached_property
    def nodes(self) -> list[Value]:
        """Every value that an output or update depends on, operands first."""
        return toposort([*self.outputs.values(), *self.updates.values()])

    def __str__(self) -> str:
        """One line a node: ``%7 f4[32,10] = matmul(%3, %6)  # dense_1``."""
        names = {value: name for name, value in self.inputs.items()}
        label: dict[Value, str] = {}
        lines: list[str] = []
        for value in self.nodes:
            if value.array is not None and value.size == 1:
                label[value] = f"{value.array.item():.6g}"
            elif value in names:
                label[value] = names[value]
            else:
                label[value] = f"%{len(lines)}"
                call = value.op.printed(*(label[operand] for operand in value.inputs)) if value.op else "constant"
                lines.append(f"{label[value]} {value.spec} = {call}" + (f"  # {value.layer}" if value.layer else ""))
        lines += [f"return {name} = {label[value]}" for name, value in self.outputs.items()]
        lines += [f"update {name} <- {label[value]}" for name, value in self.updates.items()]
        return "\n".join(lines)
