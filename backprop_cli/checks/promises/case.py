"""An op at one of its samples, and the comparison that finds a broken promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from backprop_cli.autodiff import Array, Op, Sample, Spec, Value, input_, spec_of
from backprop_cli.execution import kernels
from backprop_cli.structs import Struct


class BrokenPromiseError(Exception):
    """``method`` (or flag) of an op violates the contract of ops."""

    def __init__(self, method: str, what: str):
        super().__init__(f"{method}: {what}")
        self.method = method


class Case(Struct, eq=False):
    """``op`` on ``arrays`` drawn for ``sample``. ``is_own``: one of the op's samples, not an edge of its shapes."""

    op: Op
    arrays: tuple[Array, ...]
    sample: Sample
    is_own: bool = True

    @property
    def specs(self) -> list[Spec]:
        """Specs of the operands."""
        return [spec_of(x) for x in self.arrays]

    @property
    def result(self) -> Spec:
        """Spec of the result."""
        return self.op.shape(*self.specs)

    @property
    def floats(self) -> list[int]:
        """Positions of the operands that have derivatives."""
        return [k for k, x in enumerate(self.arrays) if x.dtype.kind == "f"]

    def copies(self) -> list[Array]:
        """The operands in memory of their own."""
        return [x.copy() for x in self.arrays]

    def inputs(self) -> list[Value]:
        """An input for each operand."""
        return [input_(f"x{k}", x.shape, x.dtype) for k, x in enumerate(self.arrays)]

    def feed(self, inputs: Sequence[Value]) -> dict[Value, Array]:
        """The operands for ``inputs``."""
        return dict(zip(inputs, self.arrays, strict=True))

    def in_single(self) -> Case:
        """The case in float32."""
        arrays = tuple(x.astype(np.float32) if x.dtype.kind == "f" else x for x in self.arrays)
        return Case(self.op, arrays, self.sample, self.is_own)


POISONS = (np.nan, 7.25)
"""Initial contents of memory; a result that depends on them was not fully written."""


def poisoned(spec: Spec, poison: float) -> Array:
    """Memory filled with a value that ``eval`` must not read."""
    return np.full(spec.shape, poison if spec.is_inexact else bool(poison), spec.dtype)


def run(op: Op, arrays: Sequence[Array], out: Array | None = None, poison: float = POISONS[0]) -> Array:
    """``bind`` and its call: into ``out``, or poisoned memory."""
    specs = [spec_of(x) for x in arrays]
    out = poisoned(op.shape(*specs), poison) if out is None else out
    scratch = tuple(poisoned(spec, poison) for spec in kernels.scratch(op, *specs))
    kernels.bind(op, *arrays, out=out, scratch=scratch)()
    return out


def agree(method: str, got: Any, wanted: Any, gave: str, instead_of: str, tolerance: float = 0.0) -> None:
    """Raise BrokenPromiseError with the worst element unless ``|got - wanted| <= tolerance max(1, |wanted|)``.

    ``gave`` and ``instead_of`` name the two numbers: ``over operand 0 it gives``, ``in memory of its own``.
    """
    got, wanted = np.asarray(got), np.asarray(wanted)
    if got.shape != wanted.shape:
        raise BrokenPromiseError(method, f"{gave} shape {list(got.shape)}, {instead_of} {list(wanted.shape)}")
    same = (got == wanted) | ((got != got) & (wanted != wanted))
    gap = np.where(same, 0.0, np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted)))
    wrong = ~same & ~(gap <= tolerance)
    if wrong.any():
        index = np.unravel_index(int(np.argmax(np.where(wrong, np.where(np.isnan(gap), np.inf, gap), -1.0))), got.shape)
        at = f" at [{', '.join(str(int(i)) for i in index)}]" if index else ""
        raise BrokenPromiseError(method, f"{gave} {_shown(got[index])}{at}, {instead_of} {_shown(wanted[index])}")


def _shown(number: Any) -> str:
    return f"{number:.10g}"


def arrays_at(case: Case, rng: np.random.Generator) -> Iterator[Case]:
    """The case and, for one of the op's own samples, operands at the ends of its domain, at 0, and far out."""
    yield case
    low, high = case.sample.domain
    ends = [low, high, *([0.0] if low < 0.0 < high else []), *([-20.0, 20.0] if (low, high) == (-2.0, 2.0) else [])]
    if case.is_own and case.floats:
        drawn = [rng.choice(ends, x.shape) if x.dtype.kind == "f" else x for x in case.arrays]
        yield Case(case.op, tuple(np.asarray(x) for x in drawn), case.sample)
