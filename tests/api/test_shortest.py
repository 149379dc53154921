"""Numbers of single precision have the same texts as one at a time."""

from __future__ import annotations

import numpy as np

from backprop_cli.inspection.shortest import shortest


def check(values: np.ndarray) -> None:
    found = shortest(values)
    expected = np.array([float(str(value)) for value in values])
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.view(np.int64), expected.view(np.int64))


def test_numbers_of_all_sizes() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
    check(bits[np.isfinite(bits)])
    check((10.0 ** rng.uniform(-4, 10, 20_000)).astype(np.float32))
    check(-rng.normal(size=20_000).astype(np.float32))


def test_short_numbers_ties_and_edges() -> None:
    rng = np.random.default_rng(1)
    check(np.round(rng.normal(size=5000) * 100, 2).astype(np.float32))
    check((rng.integers(0, 2**31, 5000) / 2 ** rng.integers(0, 12, 5000)).astype(np.float32))
    powers = np.concatenate([2.0 ** np.arange(-20, 40), 10.0 ** np.arange(-8, 20)]).astype(np.float32)
    check(np.concatenate([powers, np.nextafter(powers, np.float32(0)), np.nextafter(powers, np.float32(np.inf))]))
    check(np.array([0.0, -0.0, 1e-45, 3.4e38, 0.1, 1 / 3, 16777216], np.float32))
    check(np.empty(0, np.float32))
