"""A scalar program at a point, and its derivative along a direction by every mode. Methods choose among them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import cycle
from typing import NamedTuple

import numpy as np

from backprop_cli.autodiff import (
    Array,
    Program,
    Value,
    constant,
    evaluate,
    gradients,
    hessian_products,
    input_,
    jvp,
    multiply,
    toposort,
)
from backprop_cli.autodiff import sum as sum_
from backprop_cli.checks.complex_step import ComplexStep
from backprop_cli.checks.rounding import EPS, jittered
from backprop_cli.execution.passes import simplify
from backprop_cli.execution.plan import Plan
from backprop_cli.structs import Struct

_SCALAR, _FORWARD = "scalar", "forward"
_JITTERS = 3
"""Number of runs for an estimate of rounding."""


class Tensor(Struct, eq=False):
    """An array to differentiate by: the elements of the input ``source`` from ``start`` on."""

    name: str
    kind: str
    value: Value
    source: str
    start: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.value.shape

    @property
    def size(self) -> int:
        """Its number of elements."""
        return self.value.size

    def index(self, element: int) -> tuple[int, ...]:
        """The index of an element of the flat tensor."""
        return tuple(int(i) for i in np.unravel_index(element, self.shape))


class Piece(NamedTuple):
    """The piece of a direction in one tensor: ``vector`` (flat) from element ``start`` on, 0 elsewhere."""

    tensor: Tensor
    start: int
    vector: Array


Direction = Sequence[Piece]
"""A direction from the point; tensors without a piece do not move."""


def tensors_of(inputs: Mapping[str, Value], name: str, kind: str) -> list[Tensor]:
    """A tensor for each floating-point input, named ``op tanh by x``."""
    return [Tensor(f"{name} by {key}", kind, x, key) for key, x in inputs.items() if x.spec.is_inexact]


def unit(tensor: Tensor, element: int) -> Direction:
    """Along one element."""
    return (Piece(tensor, element, np.ones(1)),)


def norm(direction: Direction) -> float:
    """The Euclidean length."""
    return math.sqrt(sum(float(part.vector @ part.vector) for part in direction))


class Rounding(NamedTuple):
    """Rounding errors of the scalar, and of an entry of each tensor's gradient."""

    of_scalar: float
    of_gradient: Mapping[Tensor, float]


class Objective:
    """``scalar`` of a float64 program by ``tensors``, at the point ``arrays`` (by the inputs' names; copied).

    ``gradients`` (in the tensors' order) are the checked ones; by default those of reverse mode. ``base``: the
    objective whose ``curvature`` this one is.
    """

    def __init__(
        self,
        inputs: Mapping[str, Value],
        scalar: Value,
        tensors: Sequence[Tensor],
        arrays: Mapping[str, Array],
        gradients: Sequence[Value] | None = None,
        base: Objective | None = None,
    ):
        self.inputs, self.scalar, self.tensors, self.base = inputs, scalar, tuple(tensors), base
        self.point = {name: np.array(arrays[name], value.dtype) for name, value in inputs.items()}
        traced = self._reversed() if gradients is None else list(gradients)
        self._traced = dict(zip(self.tensors, traced, strict=True))
        self._reverse = self._plan({str(k): value for k, value in enumerate(traced)})
        # Every comparison that decides a branch is a node of the program or of its gradient.
        steps = [node for node in toposort([scalar, *traced]) if node.op is not None and node.op.is_step]
        branches = {f"branch_{k}": node for k, node in enumerate(steps)}
        self._loss = self._plan({_SCALAR: scalar, **branches})
        self._branches = [self._loss.outputs[name] for name in branches]
        _run(self._reverse)
        self.gradient = {tensor: self._flat(k).copy() for k, tensor in enumerate(self.tensors)}
        """The checked gradient at the point, flat, by tensor."""
        self.value = self.run((), 0.0)
        """The scalar at the point."""
        self.branches = [branch.copy() for branch in self._branches]
        """The branch of every kink at the point."""

    def _reversed(self) -> list[Value]:
        return gradients(self.scalar, [tensor.value for tensor in self.tensors])

    def _plan(self, outputs: Mapping[str, Value], more: Mapping[str, Value] | None = None) -> Plan:
        plan = Plan(simplify(Program({**self.inputs, **(more or {})}, outputs)))
        for name, array in self.point.items():
            plan.inputs[name][...] = array
        return plan

    def _flat(self, tensor: int) -> Array:
        return self._reverse.outputs[str(tensor)].reshape(-1)

    @cached_property
    def rounding(self) -> Rounding:
        """Of the scalar, and of an entry of each tensor's gradient, at the point."""
        return self._rounding(self.point)

    def rounding_at(self, direction: Direction, t: float) -> Rounding:
        """``rounding`` at ``point + t direction``, where other terms may cancel than at the point."""
        return self._rounding(self._moved(direction, t))

    def _rounding(self, point: Mapping[str, Array]) -> Rounding:
        """How far the numbers move if every result of the program moves by its last digit; at least eps of their size.

        Every kink stays on its branch. If another mode made the checked gradient, the rounding of reverse mode counts,
        too: a Hessian-vector product that is exactly 0 forward over reverse may be 1e-16 in reverse mode.
        """
        feed = {value: point[name] for name, value in self.inputs.items()}
        outputs = [self._loss.program.outputs[_SCALAR], *self._reverse.program.outputs.values()]
        if self.base is not None:
            outputs += self._other.program.outputs.values()
        with np.errstate(all="ignore"):
            value, *gradients = evaluate(outputs, feed)
        of_scalar = EPS * abs(float(value))
        of_gradient = {t: EPS * _largest(g) for t, g in zip(self.tensors, gradients, strict=False)}
        rng = np.random.default_rng(0)
        for _ in range(_JITTERS):
            moved, *others = jittered(outputs, feed, rng)
            of_scalar = max(of_scalar, abs(float(moved) - float(value)))
            for tensor, one, other in zip(cycle(self.tensors), gradients, others, strict=False):
                of_gradient[tensor] = max(of_gradient[tensor], _largest(other - one))
        return Rounding(of_scalar, of_gradient)

    @cached_property
    def _other(self) -> Plan:
        """Reverse mode's plan, for objectives with gradients of another mode."""
        return self._plan({str(k): value for k, value in enumerate(self._reversed())})

    def _moved(self, direction: Direction, t: float) -> dict[str, Array]:
        """``point + t direction``."""
        moved = {name: array.copy() for name, array in self.point.items()}
        for part in direction:
            self._moving(moved, part)[...] += t * part.vector
        return moved

    @property
    def length(self) -> float:
        """The Euclidean length of the checked gradient."""
        return math.sqrt(sum(float(gradient @ gradient) for gradient in self.gradient.values()))

    def at(self, direction: Direction) -> float:
        """The largest magnitude among entries of the point that move."""
        return max((_largest(self._moving(self.point, part)) for part in direction), default=0.0)

    @staticmethod
    def _moving(arrays: Mapping[str, Array], part: Piece) -> Array:
        start = part.tensor.start + part.start
        return arrays[part.tensor.source].reshape(-1)[start : start + len(part.vector)]

    def slope(self, direction: Direction) -> float:
        """The checked gradient times the direction, at the point."""
        return _along(self.gradient, direction)

    def slope_at(self, direction: Direction, t: float) -> float:
        """``slope`` at ``point + t direction``."""
        self._run_at(self._reverse, direction, t)
        return _along({tensor: self._flat(k) for k, tensor in enumerate(self.tensors)}, direction)

    def run(self, direction: Direction, t: float) -> float:
        """The scalar at ``point + t direction``; ``is_on`` then refers to that point."""
        self._run_at(self._loss, direction, t)
        return float(self._loss.outputs[_SCALAR])

    def branches_at(self, direction: Direction, t: float) -> list[Array]:
        """The branch of every kink at ``point + t direction``."""
        self.run(direction, t)
        return [branch.copy() for branch in self._branches]

    def is_on(self, branches: Sequence[Array]) -> bool:
        """Whether every kink took these branches in the last run."""
        return all(np.array_equal(a, b) for a, b in zip(self._branches, branches, strict=True))

    def _run_at(self, plan: Plan, direction: Direction, t: float) -> None:
        """Run with the point moved, then move it back."""
        moving = [self._moving(plan.inputs, part) for part in direction]
        kept = [x.copy() for x in moving]
        for x, part in zip(moving, direction, strict=True):
            x += t * part.vector
        _run(plan)
        for x, before in zip(moving, kept, strict=True):
            x[...] = before

    @cached_property
    def step(self) -> ComplexStep:
        """The complex step of the scalar, which also has every node's value at the point."""
        return ComplexStep([self.scalar], {value: self.point[name] for name, value in self.inputs.items()})

    def complex(self, direction: Direction) -> float:
        """The derivative along the direction by the complex step."""
        return self._complex(self.step, direction)

    def complex_at(self, direction: Direction, t: float) -> float:
        """``complex`` at ``point + t direction``."""
        point = self._moved(direction, t)
        step = ComplexStep([self.scalar], {value: point[name] for name, value in self.inputs.items()})
        return self._complex(step, direction)

    def _complex(self, step: ComplexStep, direction: Direction) -> float:
        (slope,) = step.along({part.tensor.value: _spread(part) for part in direction})
        return float(slope)

    @cached_property
    def _tangent_plan(self) -> Plan:
        tangents = {_tangent(k): input_(_tangent(k), t.shape) for k, t in enumerate(self.tensors)}
        (dot,) = jvp([self.scalar], [tensor.value for tensor in self.tensors], list(tangents.values()))
        return self._plan({_FORWARD: dot}, tangents)

    def forward(self, direction: Direction) -> float:
        """The derivative along the direction in forward mode."""
        plan = self._tangent_plan
        self._tangents_into(plan, direction)
        return float(plan.outputs[_FORWARD])

    def _tangents_into(self, plan: Plan, direction: Direction) -> None:
        """Run a plan with the direction as its tangents."""
        parts = {part.tensor: part for part in direction}
        for k, tensor in enumerate(self.tensors):
            plan.inputs[_tangent(k)][...] = _spread(parts[tensor]) if tensor in parts else 0.0
        _run(plan)

    @cached_property
    def _hessian_plan(self) -> Plan:
        tangents = {_tangent(k): input_(_tangent(k), t.shape) for k, t in enumerate(self.tensors)}
        products = hessian_products(self.scalar, [tensor.value for tensor in self.tensors], list(tangents.values()))
        return self._plan({str(k): value for k, value in enumerate(products)}, tangents)

    def bend(self, direction: Direction) -> float:
        """``v^T H v`` along the direction v, with ``H v`` forward over reverse."""
        plan = self._hessian_plan
        self._tangents_into(plan, direction)
        return _along({t: plan.outputs[str(k)].reshape(-1) for k, t in enumerate(self.tensors)}, direction)

    def curvature(self, rng: np.random.Generator) -> Objective:
        """``s(x) = <gradient(x), v>`` for a random v of signs: its gradient is the Hessian times v.

        Its checked gradient is the Hessian-vector product, forward over reverse (Pearlmutter 1994).
        """
        v = [constant(rng.choice([-1.0, 1.0], tensor.shape)) for tensor in self.tensors]
        terms = [sum_(v_k * self._traced[tensor]) for v_k, tensor in zip(v, self.tensors, strict=True)]
        scalar = terms[0]
        for term in terms[1:]:
            scalar = scalar + term
        products = hessian_products(self.scalar, [tensor.value for tensor in self.tensors], v)
        return Objective(self.inputs, scalar, self.tensors, self.point, products, self)


def weighted(
    out: Value,
    inputs: Mapping[str, Value],
    arrays: Mapping[str, Array],
    name: str,
    kind: str,
    rng: np.random.Generator,
) -> Objective:
    """A random weighting of ``out`` by the floating-point inputs; ``name`` names its tensors."""
    scalar = sum_(multiply(constant(rng.standard_normal(out.shape)), out))
    return Objective(inputs, scalar, tensors_of(inputs, name, kind), arrays)


def _along(gradient: Mapping[Tensor, Array], direction: Direction) -> float:
    """A flat gradient times the direction."""
    return sum(float(gradient[p.tensor][p.start : p.start + len(p.vector)] @ p.vector) for p in direction)


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x), initial=0.0))


def _tangent(tensor: int) -> str:
    return f"tangent_{tensor}"


def _spread(part: Piece) -> Array:
    """The piece in the tensor's shape, with zeros elsewhere."""
    if len(part.vector) == part.tensor.size:
        return part.vector.reshape(part.tensor.shape)
    whole = np.zeros(part.tensor.size)
    whole[part.start : part.start + len(part.vector)] = part.vector
    return whole.reshape(part.tensor.shape)


def _run(plan: Plan) -> None:
    with np.errstate(all="ignore"):
        plan.run()
