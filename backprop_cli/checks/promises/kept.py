"""All promises of an op, checked at its samples and at the edges of their shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from backprop_cli.checks.edge_samples import edge_samples, operands
from backprop_cli.checks.promises import derivatives, rewriting, values
from backprop_cli.checks.promises.case import BrokenPromiseError, Case


def cases_of(cls: type[Any], rng: np.random.Generator) -> Iterator[Case]:
    """The op ``cls`` at each of its samples, and at the edges of their shapes."""
    for own in cls.samples:
        yield Case(cls(**own.fields), tuple(map(np.asarray, operands(own, rng))), own)
        for edge in edge_samples(cls, own, rng):
            yield Case(cls(**edge.fields), tuple(map(np.asarray, operands(edge, rng))), edge, False)


Promise = Callable[[Case, np.random.Generator], None]


def check_values(cls: type[Any], rng: np.random.Generator) -> None:
    """Check promises on values, without which a gradient check is meaningless.

    Raises:
        BrokenPromiseError: the first promise that is not kept.
        Exception: whatever ``shape``, ``eval`` or ``bind`` raises.

    """
    with np.errstate(all="ignore"):
        for case in cases_of(cls, rng):
            for promise in VALUES:
                promise(case, rng)


def check_rules(cls: type[Any], rng: np.random.Generator) -> None:
    """Check the promises that remain when values and gradients are right.

    Raises: BrokenPromiseError for the first promise that is not kept; a method that raises an error keeps none.
    """
    with np.errstate(all="ignore"):
        for case in cases_of(cls, rng):
            for method, promise in RULES:
                try:
                    promise(case, rng)
                except BrokenPromiseError:
                    raise
                except Exception as error:
                    raise BrokenPromiseError(method, f"raises {type(error).__name__}: {error}") from error


VALUES: tuple[Promise, ...] = (
    values.check_shape,
    values.check_writes,
    values.check_bind,
    values.check_strides,
    values.check_single,
    values.check_in_place,
    values.check_blocks,
    values.check_view,
    values.check_loop,
)
"""Promises on values, in the order that explains a mistake best."""

RULES: tuple[tuple[str, Promise], ...] = (
    ("vjp", derivatives.check_rule_dtypes),
    ("jvp", derivatives.check_missing_tangents),
    ("is_step", derivatives.check_constant),
    ("is_smooth", derivatives.check_smooth),
    ("eval_complex", derivatives.check_complex),
    ("eval_complex", derivatives.check_complex_at_kinks),
    ("local_jacobians", derivatives.check_local),
    ("vectorize", rewriting.check_vectorize),
    ("cheaper", rewriting.check_simplify),
    ("flops", rewriting.check_costs),
    ("printed", rewriting.check_words),
    ("__eq__", rewriting.check_equality),
)
"""Promises on derivatives and programs, each with its method."""
