"""The contract of a method to check gradients, and functions that methods share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.checks.objective import Direction, Objective, Piece, Tensor, unit
from backprop_cli.checks.result import Check, CheckedEntry
from backprop_cli.registry import Registry
from backprop_cli.training.events import OnProgress

Samples = int | Literal["all"]
Order = Literal[1, 2]
"""Order of derivatives: gradients (1) or Hessian-vector products (2)."""


class Options(NamedTuple):
    """How many entries to check, and the tolerance.

    ``seed`` draws ``samples`` entries of each tensor. The check ends at ``deadline`` (of ``time.perf_counter``,
    seconds). ``progress`` is called with the number of entries done.
    """

    samples: Samples = 32
    tolerance: float = 1e-5
    seed: int = 0
    deadline: float = math.inf
    progress: OnProgress | None = None

    @property
    def rng(self) -> np.random.Generator:
        """A generator that starts anew at every call."""
        return np.random.default_rng(self.seed)

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return time.perf_counter() > self.deadline


class Method:
    """A way to compare a gradient with something else."""

    words: ClassVar[tuple[str, str]] = ("the program's gradient", "the loss's slope")
    """Words for the two numbers of an entry, ``analytic`` and ``numeric``."""

    tolerance_of: ClassVar[str] = ""
    """Reference of the method's own tolerance; empty if it applies the options' tolerance to each derivative."""

    def check(self, objective: Objective, options: Options) -> list[Check]:
        """A check of every tensor of the objective, possibly with further checks."""
        raise NotImplementedError


ROUNDING = 64.0
"""Error of a gradient's entry in units of its tensor's rounding, which few runs estimate for many entries."""

METHODS: Registry[Method] = Registry("method", "methods", "backprop_cli.checks.methods", Method)


def elements(tensors: Sequence[Tensor], options: Options) -> Iterator[tuple[Tensor, int]]:
    """The sampled entries until the deadline, one of each tensor in turn so that no tensor is left out."""
    rng = options.rng
    chosen = {tensor: _chosen(tensor.size, options.samples, rng) for tensor in tensors}
    done, total = 0, sum(map(len, chosen.values()))
    for turn in range(max((len(numbers) for numbers in chosen.values()), default=0)):
        for tensor, numbers in chosen.items():
            if turn < len(numbers):
                if options.is_over:
                    return
                if options.progress is not None:
                    options.progress("entries", done, total)
                yield tensor, int(numbers[turn])
                done += 1


def _chosen(size: int, samples: Samples, rng: np.random.Generator) -> Array:
    return np.arange(size) if samples == "all" else rng.permutation(size)[:samples]


Kind = Literal["rademacher", "gaussian"]
KINDS: tuple[Kind, Kind] = ("rademacher", "gaussian")
"""Kinds of random directions. Signs show any single wrong element; opposite mistakes do not cancel along both."""

HIDDEN = 0.1
"""Largest share of rounding in a derivative that can still be judged."""

Judge = Callable[[Tensor, Direction, tuple[int, ...]], CheckedEntry]


def entrywise(
    objective: Objective, options: Options, judge: Judge, suspects: Iterable[tuple[Tensor, int]] = ()
) -> dict[Tensor, list[CheckedEntry]]:
    """Judge every sampled entry, then the ``suspects``; results by tensor."""
    entries: dict[Tensor, dict[int, CheckedEntry]] = {tensor: {} for tensor in objective.tensors}
    for tensor, element in chain(elements(objective.tensors, options), suspects):
        if element not in entries[tensor]:
            entries[tensor][element] = judge(tensor, unit(tensor, element), tensor.index(element))
    return {tensor: list(found.values()) for tensor, found in entries.items()}


def checks_of(entries: dict[Tensor, list[CheckedEntry]], tolerance: float | None = None) -> list[Check]:
    """One check for each tensor; ``tolerance``: the method's own."""
    return [Check(tensor.name, tensor.kind, tensor.shape, tuple(found), tolerance) for tensor, found in entries.items()]


def random_direction(tensors: Sequence[Tensor], rng: np.random.Generator, kind: Kind) -> Direction:
    """A direction through all elements, each of variance 1: signs or normal."""

    def draw(count: int) -> Array:
        return rng.choice([-1.0, 1.0], count) if kind == "rademacher" else rng.standard_normal(count)

    return [Piece(tensor, 0, draw(tensor.size)) for tensor in tensors if tensor.size]


def power_of_two(x: float) -> float:
    """The nearest power of two: most numbers plus such a step are exact."""
    return float(2.0 ** round(math.log2(x)))


def locate(residual: Callable[[Direction], float], direction: Direction, total: float) -> tuple[Tensor, int]:
    """Bisect to the element responsible for ``total``, the residual along ``direction``: log2(elements) evaluations.

    Residuals are linear: ``right = total - left``. Descend into the half with the larger or non-finite residual. If
    several elements are wrong, the result is one of them.
    """
    while len(direction) > 1 or len(direction[0].vector) > 1:
        left, right = _halves(direction)
        of_left = residual(left)
        of_right = total - of_left
        is_left = not math.isfinite(of_left) or (math.isfinite(of_right) and abs(of_left) >= abs(of_right))
        direction, total = (left, of_left) if is_left else (right, of_right)
    return direction[0].tensor, direction[0].start


def _halves(direction: Direction) -> tuple[Direction, Direction]:
    if len(direction) > 1:
        middle = len(direction) // 2
        return direction[:middle], direction[middle:]
    (part,) = direction
    middle = len(part.vector) // 2
    return (
        [part._replace(vector=part.vector[:middle])],
        [Piece(part.tensor, part.start + middle, part.vector[middle:])],
    )
