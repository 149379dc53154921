"""A network as a C file and its header."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from backprop_cli.autodiff import Array, Program
from backprop_cli.data.dated import Dated
from backprop_cli.errors import UsageError
from backprop_cli.execution.written_plan import WrittenPlan
from backprop_cli.exporting.c.c_columns import Columns
from backprop_cli.exporting.c.c_names import TYPES, identifier, identifiers
from backprop_cli.exporting.c.computation import Addresses, Region, statements, unwritable
from backprop_cli.exporting.exporter import Request
from backprop_cli.session.trained_network import TrainedNetwork
from backprop_cli.structs import Struct
from backprop_cli.training.step_program import INPUTS, PARAMETERS, Recipe

MEMORY = {"float32": "memory", "float64": "memory", "int64": "integers", "bool": "flags"}
"""Names of the arrays of intermediate values."""


class Function(Struct):
    """A C function: ``doc`` stands in the header, ``lines`` are the body."""

    name: str
    returns: str
    parameters: Sequence[str]
    doc: Sequence[str]
    lines: Sequence[str]
    multiplications: int | None = None

    @property
    def signature(self) -> str:
        """Its declaration without the semicolon."""
        head = f"{self.returns} {self.name}("
        one = f"{head}{', '.join(self.parameters) or 'void'})"
        if len(one) <= 116:
            return one
        return head + f",\n{' ' * len(head)}".join(self.parameters) + ")"


@dataclass(eq=False)
class NetworkSource:
    """What the functions of a file share: names, memory, weights and constants.

    ``memory``: elements of intermediate values by type. ``constants``: C name and numbers by type and bytes. Both grow
    with each function that is written.
    """

    saved: TrainedNetwork
    request: Request
    memory: dict[str, int] = field(default_factory=dict)
    constants: dict[tuple[str, bytes], tuple[str, Array]] = field(default_factory=dict)

    @cached_property
    def stem(self) -> str:
        """The prefix of all names that the header declares."""
        return identifier(self.request.output.stem)

    @property
    def macro(self) -> str:
        """The prefix of macros."""
        return self.stem.upper()

    @property
    def kind(self) -> str:
        """The element type of the network: ``float32``."""
        return self.request.precision

    @property
    def real(self) -> str:
        """The C type of its numbers."""
        return TYPES[self.kind]

    @property
    def total(self) -> str:
        """The C type of sums."""
        return "BP_SUM" if self.kind == "float32" else "double"

    @cached_property
    def recipe(self) -> Recipe:
        """The network in the precision of the file."""
        recipe = self.saved.recipe
        model = replace(recipe.model, dtype=np.dtype(self.kind))
        return replace(recipe, model=model, accumulate=False, average=None, lookahead=None)

    @cached_property
    def columns(self) -> Columns:
        """The columns of a row. Raises: UsageError for a column whose transform has no form in C."""
        for feature in self.saved.transform.features:
            if isinstance(feature, Dated) and self.saved.transform.tokens is not None:
                raise UsageError(f"--to c: column '{feature.name}' holds dates, and the network looks its inputs up")
        return Columns(self.saved.transform)

    @property
    def is_training(self) -> bool:
        """Whether the weights are in a state that the caller owns and a step changes."""
        return "training" in self.request.parts

    @property
    def reads_weights(self) -> bool:
        """Whether the weights of predictions are read from a file. A state starts from what has been read."""
        return self.request.weights is not None and not self.is_training

    @cached_property
    def members(self) -> dict[str, str]:
        """The members of the state by vector: of the network, then of the optimizer."""
        vectors = list(self.recipe.states())
        return dict(zip(vectors, identifiers(vectors), strict=True))

    @property
    def state_parameter(self) -> list[str]:
        """The parameter of functions that read a state."""
        return [f"const {self.stem}_state *state"] if self.is_training else []

    @cached_property
    def weights(self) -> dict[str, Array]:
        """Parameters and buffers by their full names, in the precision of the file."""
        found: dict[str, Array] = {}
        for vector in self.recipe.network:
            found |= self.recipe.layout_of(vector).arrays(self.saved.vectors[vector].astype(self.kind))
        return found

    @cached_property
    def weight_names(self) -> dict[str, str]:
        """The C names of the weights by their full names."""
        return dict(zip(self.weights, identifiers(self.weights), strict=True))

    def place_name(self, parameter: str) -> str:
        """The name in C of the place of a parameter in the vector of all of them."""
        return f"{self.macro}_AT_{self.weight_names[parameter].upper()}"

    @cached_property
    def weight_arrays(self) -> list[tuple[str, str, Array]]:
        """Definitions of weights: C name, comment and numbers. A state starts from whole vectors."""
        if self.is_training:
            vectors = {name: self.saved.vectors[name].astype(self.kind) for name in self.recipe.network}
            return [(f"initial_{name}", name, vector) for name, vector in vectors.items()]
        shapes = {name: "x".join(map(str, known.shape)) for name, known in self.weights.items()}
        return [(self.weight_names[name], f"{name}: {shapes[name]}", known) for name, known in self.weights.items()]

    def sizes(self, used: Collection[str]) -> dict[str, int]:
        """Bytes by use: ``static`` memory, ``constants``, ``weights`` if they are read from a file, and ``state``."""
        constants = sum(known.nbytes for name, known in self.constants.values() if name in used)
        weights = sum(known.nbytes for _, _, known in self.weight_arrays)
        is_read = self.request.weights is not None
        found = {
            "static": sum(np.dtype(kind).itemsize * size for kind, size in self.memory.items()),
            "constants": constants if is_read else constants + weights,
            **({"weights": weights} if is_read else {}),
        }
        if self.is_training:
            numbers = sum(self.recipe.layout_of(vector).size for vector in self.members)
            found["state"] = np.dtype(self.kind).itemsize * numbers
        return found

    def planned(self, program: Program, own: Sequence[str] = (INPUTS,)) -> WrittenPlan:
        """The program in memory, which all functions share. Raises: UsageError for an op that has no form in C."""
        plan = WrittenPlan(program, own)
        for step in unwritable(plan):
            where = f"layer {step.layer}" if step.layer else "the network"
            raise UsageError(f"--to c: {where} needs the op {step.op.kind}, which has no form in C")
        if {"float32", "float64"} <= plan.memory.keys():
            raise UsageError("--to c: the network computes in float32 and in float64, which has no form in C")
        for kind, memory in plan.memory.items():
            self.memory[kind] = max(self.memory.get(kind, 0), memory.size)
        return plan

    def regions(self, plan: WrittenPlan, outputs: Mapping[str, str], given: Mapping[str, str]) -> list[Region]:
        """The named memory of a plan.

        ``outputs`` and ``given``: C names of outputs, and of inputs that the caller owns.
        """
        found = [Region(memory, MEMORY[kind]) for kind, memory in plan.memory.items()]
        found += [Region(plan.outputs[name], text) for name, text in outputs.items()]
        found += [Region(plan.inputs[name], text) for name, text in given.items()]
        if self.is_training:
            held = (vector for vector in self.members if vector in plan.inputs)
            found += [Region(plan.inputs[vector], f"state->{self.members[vector]}") for vector in held]
            parts = self.recipe.layout.arrays(plan.inputs[PARAMETERS])
            member = f"state->{self.members[PARAMETERS]}"
            found += [Region(part, member, start=self.place_name(name)) for name, part in parts.items()]
        for vector in () if self.is_training else self.recipe.network:
            if vector in plan.inputs and vector not in given:
                parts = self.recipe.layout_of(vector).arrays(plan.inputs[vector])
                found += [Region(part, self.weight_names[name]) for name, part in parts.items()]
        return [*found, *(self._constant(known) for known in plan.constants)]

    def _constant(self, known: Array) -> Region:
        """A known array under a name that equal arrays share."""
        low, high = np.lib.array_utils.byte_bounds(known)
        size = max(1, (high - low) // known.itemsize)
        flat = np.lib.stride_tricks.as_strided(known, (size,), (known.itemsize,))
        name, _ = self.constants.setdefault(
            (known.dtype.name, flat.tobytes()), (f"constant_{len(self.constants) + 1}", flat)
        )
        return Region(flat, name)

    def body(
        self, plan: WrittenPlan, outputs: Mapping[str, str], given: Mapping[str, str]
    ) -> tuple[list[str], set[str]]:
        """The statements of a plan, and the names of the arrays that they use."""
        return statements(plan, self.regions(plan, outputs, given), self.kind, self.total)

    def place(self, plan: WrittenPlan, name: str) -> str:
        """The C expression of the address of an input that lives in memory."""
        found = Addresses(self.regions(plan, {}, {})).place(plan.inputs[name])
        assert found is not None
        return found.address
