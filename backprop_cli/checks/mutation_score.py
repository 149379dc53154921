"""Test the check itself: break every derivative rule in every way, one at a time, and count what it notices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from backprop_cli.autodiff import OPS, Array, Op, Value, evaluate, in_layer, input_, toposort
from backprop_cli.checks.edge_samples import edge_samples, is_differentiable, operands
from backprop_cli.checks.gradients import check_objective, network_objectives
from backprop_cli.checks.method import Options, Order, random_direction
from backprop_cli.checks.mutation import Mutation, mutated, mutations
from backprop_cli.checks.objective import Objective, Tensor
from backprop_cli.checks.result import Score
from backprop_cli.checks.rules import op_objective
from backprop_cli.registry import snake_case
from backprop_cli.structs import Struct
from backprop_cli.training.events import OnProgress
from backprop_cli.training.step_program import Recipe

_SAMPLES = 2
"""Entries checked of each operand, in addition to directions through all of them."""
_SAME = 1e-12
"""Largest difference of two derivatives, relative to the larger, that counts as rounding."""


class Subject(Protocol):
    """Something with derivative rules: an op at a sample, or a network."""

    def mutations(self) -> Iterator[Mutation]:
        """The mistakes that can be made in one op's rules."""

    def numbers(self, mutation: Mutation | None) -> list[Array | None]:
        """Derivatives along random directions in both modes, with the mistake or without."""

    def objective(self, mutation: Mutation | None) -> Objective:
        """The objective to check, with the mistake or without."""


def op_score(
    *,
    names: Iterable[str] = OPS,
    method: str = "auto",
    order: Order = 1,
    tolerance: float = 1e-5,
    seed: int = 0,
    progress: OnProgress | None = None,
) -> Score:
    """The score of the named ops (default: all), at their samples and at edges of their shapes.

    ``progress`` is called with the number of broken rules tried.

    Raises: UsageError for an unknown method.
    """
    rng = np.random.default_rng(seed)
    return _score(_ops(names, rng), method, order, Options(_SAMPLES, tolerance, seed, progress=progress))


def network_score(recipe: Recipe, arrays: Mapping[str, Array], *, method: str, order: Order, options: Options) -> Score:
    """The score of every kind of op in a network: whether a mistake shows in this network's gradient.

    ``options.progress`` is called with the number of broken rules tried.

    Raises: UsageError for an unknown method.
    """
    subjects: dict[str, list[Subject]] = {}
    for objective in network_objectives(recipe, arrays):
        kinds = {type(node.op) for node in toposort([objective.scalar]) if node.op is not None}
        for kind in sorted(kinds, key=lambda cls: cls.__name__):
            subjects.setdefault(snake_case(kind.__name__), []).append(_InNetwork(objective, kind))
    return _score(subjects, method, order, options)


def _score(subjects: Mapping[str, Sequence[Subject]], method: str, order: Order, options: Options) -> Score:
    """Break partial derivatives, reverse rules and forward rules in turn.

    A mutant whose numbers agree everywhere with the right ones, to 1e-12, is equivalent and not counted: omitting a sum
    over an axis of size 1 is no mistake.
    """
    total, survivors = 0, []
    tell, options = options.progress, options._replace(progress=None)
    tried = {
        name: list(dict.fromkeys(each for one in here for each in one.mutations())) for name, here in subjects.items()
    }
    done, count = 0, sum(map(len, tried.values()))
    for name, here in subjects.items():
        with np.errstate(all="ignore"):
            right = [subject.numbers(None) for subject in here]
            for mutation in tried[name]:
                if tell is not None:
                    tell("broken rules", done, count)
                done += 1
                differing = [
                    subject
                    for subject, numbers in zip(here, right, strict=True)
                    if not _are_same(subject.numbers(mutation), numbers)
                ]
                total += bool(differing)
                if differing and not any(_is_noticed(each, mutation, method, order, options) for each in differing):
                    survivors.append(f"{name}: {mutation}")
    return Score(total, total - len(survivors), tuple(survivors))


def _are_same(wrong: Sequence[Array | None], right: Sequence[Array | None]) -> bool:
    return all(_are_close(a, b) for a, b in zip(wrong, right, strict=True))


def _are_close(x: Array | None, y: Array | None) -> bool:
    pair = [np.zeros(()) if array is None else array for array in (x, y)]
    size = max(float(np.max(np.abs(array), initial=0.0)) for array in pair)
    return bool(np.all(np.abs(pair[0] - pair[1]) <= _SAME * size))


def _is_noticed(subject: Subject, mutation: Mutation, method: str, order: Order, options: Options) -> bool:
    found = check_objective(subject.objective(mutation), method, order, options)
    return any(check.verdict in ("FAIL", "NONFINITE") for check in found)


class _Alone(Struct, eq=False):
    """An op at one of its samples; ``directions``: one for each operand and one for the cotangent."""

    op: Op
    arrays: Sequence[Array]
    directions: Sequence[Array]

    @classmethod
    def of(cls, op: Op, arrays: Sequence[Array], rng: np.random.Generator) -> _Alone:
        """With random directions."""
        result = op(*(input_(str(k), x.shape, x.dtype) for k, x in enumerate(arrays)))
        return cls(op, arrays, [rng.standard_normal(shape) for shape in (*(x.shape for x in arrays), result.shape)])

    def _op(self, mutation: Mutation | None) -> Op:
        return self.op if mutation is None else mutated(self.op, mutation)

    def _inputs(self) -> list[Value]:
        return [input_(str(k), x.shape, x.dtype) for k, x in enumerate(self.arrays)]

    def mutations(self) -> Iterator[Mutation]:
        inputs = self._inputs()
        yield from mutations(self.op, inputs, self.op(*inputs))

    def numbers(self, mutation: Mutation | None) -> list[Array | None]:
        op, inputs = self._op(mutation), self._inputs()
        out, values = op(*inputs), [input_("direction", x.shape) for x in self.directions]
        tangents = [t if x.spec.is_inexact else None for x, t in zip(inputs, values, strict=False)]
        found = [*op.vjp(inputs, out, values[-1]), op.jvp(inputs, tangents, out)]
        feed = dict(zip([*inputs, *values], [*self.arrays, *self.directions], strict=True))
        arrays = iter(evaluate([part for part in found if part is not None], feed))
        return [None if part is None else next(arrays) for part in found]

    def objective(self, mutation: Mutation | None) -> Objective:
        return op_objective(self._op(mutation), self.arrays, "mutant", np.random.default_rng(0))


def _ops(names: Iterable[str], rng: np.random.Generator) -> dict[str, list[Subject]]:
    """Subjects by op, without empty arrays, which have no derivatives."""
    subjects: dict[str, list[Subject]] = {}
    for name in names:
        cls = OPS[name]
        for sample in [each for own in cls.samples for each in (own, *edge_samples(cls, own, rng))]:
            op, arrays = cls(**sample.fields), operands(sample, rng)
            if is_differentiable(op, arrays) and all(x.size for x in arrays):
                subjects.setdefault(name, []).append(_Alone.of(op, arrays, rng))
    return subjects


class _InNetwork(Struct, eq=False):
    """All ops of one kind in an objective's program."""

    right: Objective
    kind: type[Op]

    def mutations(self) -> Iterator[Mutation]:
        for node in toposort([self.right.scalar]):
            if type(node.op) is self.kind and node.spec.is_inexact:
                yield from mutations(node.op, node.inputs, node)

    def numbers(self, mutation: Mutation | None) -> list[Array | None]:
        objective = self.objective(mutation)
        direction = random_direction(objective.tensors, np.random.default_rng(0), "gaussian")
        return [*objective.gradient.values(), np.array(objective.forward(direction))]

    def objective(self, mutation: Mutation | None) -> Objective:
        if mutation is None:
            return self.right
        new = self._rebuilt(mutation)
        tensors = [Tensor(t.name, t.kind, new[t.value], t.source, t.start) for t in self.right.tensors]
        return Objective(self.right.inputs, new[self.right.scalar], tensors, self.right.point)

    def _rebuilt(self, mutation: Mutation) -> dict[Value, Value]:
        """The values of the program with the mistake, by those without."""
        new: dict[Value, Value] = {}
        for node in toposort([self.right.scalar, *(tensor.value for tensor in self.right.tensors)]):
            operands = tuple(new[operand] for operand in node.inputs)
            is_new = any(operand is not old for operand, old in zip(operands, node.inputs, strict=True))
            if node.op is not None and (type(node.op) is self.kind or is_new):
                op = mutated(node.op, mutation) if type(node.op) is self.kind else node.op
                with in_layer(node.layer):
                    new[node] = op(*operands)
            else:
                new[node] = node
        return new
