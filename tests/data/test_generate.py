"""Synthetic sets: the shapes they promise, seeded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backprop_cli.data.settings import GenerateSettings
from backprop_cli.data.synthetic import generate
from backprop_cli.data.table import Numbers


def make(
    kind: Any, examples: int = 600, noise: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table, target = generate(GenerateSettings(type=kind, examples=examples, noise=noise), seed)
    columns = [table.columns[name] for name in ("x1", "x2", target)]
    x1, x2, y = (column.values for column in columns if isinstance(column, Numbers))
    return x1, x2, y


def test_xor_without_noise_is_the_truth_table() -> None:
    x1, x2, y = make("xor", 4)
    assert list(zip(x1.tolist(), x2.tolist(), y.tolist(), strict=True)) == [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]


def test_circles_and_moons_lie_on_their_curves() -> None:
    x1, x2, y = make("circles")
    np.testing.assert_allclose(np.hypot(x1, x2), np.where(y == 0, 1, 0.5))
    x1, x2, y = make("moons")
    np.testing.assert_allclose(np.where(y == 0, np.hypot(x1, x2), np.hypot(x1 - 1, x2 - 0.5)), 1)


def test_spiral_arms_turn_by_4_radians() -> None:
    x1, x2, arm = make("spiral")
    radius = np.hypot(x1, x2)
    angle = np.arctan2(x2, x1) - 4 * radius - 2 * np.pi / 3 * arm
    np.testing.assert_allclose(np.cos(angle), 1)
    assert set(arm) == {0, 1, 2}


def test_linear() -> None:
    x1, x2, y = make("linear")
    np.testing.assert_allclose(y, 2 * x1 - 3 * x2 + 1)
    x1, x2, y = make("linear", 4000, noise=0.5)
    assert abs((y - 2 * x1 + 3 * x2 - 1).std() - 0.5) < 0.02


@pytest.mark.parametrize("kind", ["xor", "spiral", "moons", "circles", "linear"])
def test_seeded(kind: str) -> None:
    np.testing.assert_array_equal(make(kind, noise=0.1), make(kind, noise=0.1))
    assert not np.array_equal(make(kind, noise=0.1), make(kind, noise=0.1, seed=1))
