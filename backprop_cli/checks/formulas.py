"""Checks against formulas: an optimizer's steps, an average, the moments of random draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from backprop_cli.autodiff import Array, evaluate, input_
from backprop_cli.checks.result import Check, CheckedEntry, judged
from backprop_cli.nn.average import AVERAGES, Average, StepEnd
from backprop_cli.nn.initializer import INITIALIZERS, Initializer
from backprop_cli.nn.optimizer import OPTIMIZERS, FullBatch, Optimizer
from backprop_cli.registry import Registry

S = TypeVar("S", Optimizer, Average, Initializer)
Types = Sequence[tuple[str, type[S]]]

_STEPS = 8
"""Enough for radam, which uses its mean square from step 6 on."""
_WIDTH = 4
_STEP_TOLERANCE = 1e-12
"""For the same formula in another order of operations."""
_ROUNDING = 1e-15
"""Rounding that remains if terms near 1 cancel."""
_UPDATES, _STEPS_AN_EPOCH = 16, 3
"""Updates of an average; the last epoch is incomplete."""
_SHAPES = (3, 5), (5, 3), (4, 2, 3)
"""Shapes of parameters: wide, tall, and of a convolution."""
_SHAPED_TOLERANCE = 1e-10
"""For a formula by another algorithm."""
_ROWS, _COLUMNS = 200, 150
_DEVIATIONS = 5.0
"""Most standard errors of a mean or deviation of draws; chance exceeds it 6 times in ten million."""


def check_optimizers(rng: np.random.Generator, types: Types[Optimizer] | None = None) -> Iterator[Check]:
    """Compare the first steps of each optimizer, from empty slots, with its formula, by step and parameter."""
    for label, optimizer in _built(OPTIMIZERS, types):
        if isinstance(optimizer, FullBatch):
            yield Check(label, "optimizer", (_WIDTH + 1, _WIDTH), tuple(_directions(optimizer, rng)))
            continue
        yield Check(label, "optimizer", (_STEPS, _WIDTH), _steps(optimizer, rng))
        if optimizer.shaped:
            entries = tuple(entry for shape in _SHAPES for entry in _shaped(optimizer, shape, rng))
            yield Check(f"{label} by shape", "optimizer", _SHAPES[0], entries)


def _built(registry: Registry[S], types: Types[S] | None) -> Iterator[tuple[str, S]]:
    """The name of the check and an instance, for every type (or ``types``) at each of its samples."""
    for name, cls in registry.items() if types is None else types:
        for number, settings in enumerate(cls.samples):
            suffix = f" {number + 1}" if number else ""
            yield f"{registry.kind} {name}{suffix}", cls.model_validate({"type": name, **settings})


def _steps(optimizer: Optimizer, rng: np.random.Generator) -> tuple[CheckedEntry, ...]:
    names = optimizer.slot_names()
    g, parameter = input_("gradient", (_WIDTH,)), input_("parameter", (_WIDTH,))
    slots = {name: input_(name, (_WIDTH,)) for name in names}
    scalars = {name: input_(name, ()) for name in optimizer.scalars(1)}
    direction, new = optimizer.update(g, slots, scalars, parameter)
    traced = {name: np.full(_WIDTH, optimizer.slot_start(name)) for name in names}
    plain = [{name: optimizer.slot_start(name) for name in names} for _ in range(_WIDTH)]
    entries = []
    for step in range(1, _STEPS + 1):
        feed = {g: rng.standard_normal(_WIDTH), parameter: rng.standard_normal(_WIDTH)}
        feed |= {slots[name]: array for name, array in traced.items()}
        feed |= {scalars[name]: np.asarray(x) for name, x in optimizer.scalars(step).items()}
        found, *after = evaluate([direction, *(new[name] for name in names)], feed)
        traced = dict(zip(names, after, strict=True))
        for k in range(_WIDTH):
            wanted, plain[k] = optimizer.formula(step, float(feed[g][k]), plain[k], float(feed[parameter][k]))
            pairs = [(found[k], wanted), *((traced[name][k], plain[k][name]) for name in names)]
            entries.append(_worst((step - 1, k), [(float(a), float(n)) for a, n in pairs]))
    return tuple(entries)


def _directions(optimizer: FullBatch, rng: np.random.Generator) -> Iterator[CheckedEntry]:
    """Directions with 0 to ``_WIDTH`` remembered steps, on a quadratic function with a random Hessian."""
    root = rng.standard_normal((_WIDTH, _WIDTH))
    steps = list(rng.standard_normal((_WIDTH, _WIDTH)))
    changes = [(root.T @ root + np.eye(_WIDTH)) @ step for step in steps]
    for known in range(_WIDTH + 1):
        g = rng.standard_normal(_WIDTH)
        found = optimizer.direction(g, steps[:known], changes[:known])
        wanted = optimizer.direction_formula(g, steps[:known], changes[:known])
        yield from _compared(found, wanted, (known,))


def _shaped(optimizer: Optimizer, shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[CheckedEntry]:
    """All entries of an optimizer's second stage, for one parameter."""
    direction, parameter = input_("direction", shape), input_("parameter", shape)
    feed = {direction: rng.standard_normal(shape), parameter: rng.standard_normal(shape)}
    (found,) = evaluate([optimizer.shaped_direction(direction, parameter)], feed)
    yield from _compared(found, optimizer.shaped_formula(feed[direction], feed[parameter]))


def _compared(found: Array, wanted: Array, lead: tuple[int, ...] = ()) -> Iterator[CheckedEntry]:
    """Compare with a formula by another algorithm, entry by entry."""
    for index in np.ndindex(found.shape):
        a, n = float(found[index]), float(wanted[index])
        yield CheckedEntry((*lead, *index), a, n, judged(a, n, _SHAPED_TOLERANCE, 10 * _ROUNDING))


def _worst(index: tuple[int, ...], pairs: list[tuple[float, float]]) -> CheckedEntry:
    """The entry of the direction or slot with the largest error."""
    entries = [CheckedEntry(index, a, n, judged(a, n, _STEP_TOLERANCE, _ROUNDING)) for a, n in pairs]
    return max(entries, key=lambda entry: (entry.verdict != "PASS", entry.relative_error))


def check_averages(rng: np.random.Generator, types: Types[Average] | None = None) -> Iterator[Check]:
    """Compare every average (or ``types``) over some epochs with its definition."""
    for label, average in _built(AVERAGES, types):
        yield Check(label, "average", (_UPDATES,), tuple(_followed(average, rng)))


def _followed(average: Average, rng: np.random.Generator) -> Iterator[CheckedEntry]:
    found, history = 0.0, []
    for step in range(1, _UPDATES + 1):
        at = StepEnd(step, -(-step // _STEPS_AN_EPOCH), step % _STEPS_AN_EPOCH == 0)
        history.append((at, float(rng.standard_normal())))
        share, newest = average.share(at), history[-1][1]
        found = newest if share is None else found + share * (newest - found)
        wanted = average.formula(history)
        yield CheckedEntry((step - 1,), found, wanted, judged(found, wanted, _STEP_TOLERANCE, _ROUNDING))


def check_initializers(rng: np.random.Generator, types: Types[Initializer] | None = None) -> Iterator[Check]:
    """Compare mean and standard deviation of a large matrix of draws with those of the formula."""
    shapes = ((_ROWS, _COLUMNS), (_COLUMNS, _ROWS))
    for label, initializer in _built(INITIALIZERS, types):
        entries = tuple(entry for shape in shapes for entry in _moments(initializer, shape, rng))
        yield Check(label, "initializer", shapes[0], entries)


def _moments(initializer: Initializer, shape: tuple[int, int], rng: np.random.Generator) -> Iterator[CheckedEntry]:
    draws = initializer.sample(rng, shape, shape[1], shape[0])
    mean, deviation = initializer.moments(shape, shape[1], shape[0])
    # Standard errors of n draws: deviation / sqrt(n) of the mean, at most deviation / sqrt(2 n) of the deviation.
    room = _DEVIATIONS * deviation / math.sqrt(draws.size)
    for sign in (-1.0, 1.0):  # by mean - deviation and mean + deviation, because a mean of 0 has no relative error
        found, wanted = float(draws.mean() + sign * draws.std()), mean + sign * deviation
        is_right = abs(found - wanted) <= 2.0 * room + 1e-12 * abs(wanted)
        yield CheckedEntry((), found, wanted, "PASS" if is_right else "FAIL")
