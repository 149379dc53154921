"""Small synthetic sets with two inputs, for first networks and for tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backprop_cli.data.settings import GENERATED_FEATURES, GenerateSettings
from backprop_cli.data.table import Numbers, Table
from backprop_cli.errors import SettingError
from backprop_cli.memory import shortage

Floats = NDArray[np.float64]
Made = tuple[Floats, NDArray[np.int64]]

NAME = "data.generate"
_BYTES = 40
"""Bytes of an example during generation: two inputs, a target, two random numbers."""
_STREAM = 0x9E4E  # separates these random numbers from other uses of the seed


def generate(settings: GenerateSettings, seed: int) -> tuple[Table, str]:
    """A table with columns ``x1``, ``x2`` and the target, and the target's name: ``class``, or ``y`` for linear.

    Classes take turns, so that the first rows are always balanced. Equal settings and seed give equal rows.
    """
    found = shortage(settings.examples * _BYTES)
    if found is not None:
        reason = f"{settings.examples:,} examples take {found}; make fewer"
        raise SettingError([(("data", "generate", "examples"), reason)])
    rng = np.random.default_rng([seed, _STREAM])
    if settings.type == "linear":
        inputs = rng.normal(size=(settings.examples, 2))
        targets = inputs @ [2.0, -3.0] + 1.0 + rng.normal(scale=settings.noise, size=settings.examples)
        return _table(inputs, targets, "y")
    inputs, labels = _SHAPES[settings.type](np.arange(settings.examples), rng)
    return _table(inputs + rng.normal(scale=settings.noise, size=inputs.shape), labels, "class")


def _table(inputs: Floats, targets: NDArray[np.generic], name: str) -> tuple[Table, str]:
    columns = dict(zip(GENERATED_FEATURES, map(Numbers, inputs.T), strict=True))
    return Table(NAME, {**columns, name: Numbers(targets)}), name


def _xor(i: NDArray[np.int64], rng: np.random.Generator) -> Made:
    """The corners of the unit square in turn; the class is ``x1 xor x2``."""
    bits = np.stack([i // 2 % 2, i % 2], axis=1)
    return bits.astype(np.float64), bits[:, 0] ^ bits[:, 1]


def _spiral(i: NDArray[np.int64], rng: np.random.Generator) -> Made:
    """Three arms from the origin to radius 1, each turning by 4 radians."""
    arm = i % 3
    radius = rng.uniform(size=len(i))
    angle = 4.0 * radius + 2.0 * np.pi / 3.0 * arm
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), arm


def _moons(i: NDArray[np.int64], rng: np.random.Generator) -> Made:
    """Two half circles of radius 1, each with its end inside the other."""
    moon = i % 2
    angle = rng.uniform(0.0, np.pi, size=len(i))
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1.0 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return np.where(moon[:, None] == 0, upper, lower), moon


def _circles(i: NDArray[np.int64], rng: np.random.Generator) -> Made:
    """Circles of radius 1 and 0.5 about the origin."""
    ring = i % 2
    angle = rng.uniform(0.0, 2.0 * np.pi, size=len(i))
    radius = np.where(ring == 0, 1.0, 0.5)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), ring


_SHAPES: dict[str, Callable[[NDArray[np.int64], np.random.Generator], Made]] = {
    "xor": _xor,
    "spiral": _spiral,
    "moons": _moons,
    "circles": _circles,
}
