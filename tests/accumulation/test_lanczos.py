"""Leading eigenvalues from products alone, against those of the matrix."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from backprop_cli.accumulation import lanczos as module
from backprop_cli.accumulation.lanczos import lanczos


@pytest.fixture(autouse=True)
def one_thread():
    """Tests run side by side: threads of BLAS that wait for each other's core took 6 s for these in place of 0.7 s."""
    with threadpool_limits(1):
        yield


def matrix_of(values, seed=0):
    """A symmetric matrix with these eigenvalues in random directions."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    matrix = basis * np.asarray(values) @ basis.T
    return (matrix + matrix.T) / 2


def found_of(matrix, count, **options):
    calls = []

    def product(vector):
        calls.append(vector)
        return matrix @ vector

    found = lanczos(product, len(matrix), count, np.random.default_rng(3), **options)
    assert found.products == len(calls)
    return found


CASES = {
    "one": [3.0],
    "positive and negative": [-7.0, -1.0, 0.0, 2.0, 5.0],
    "equal ones": [4.0, 4.0, 4.0, 1.0, -2.0, -2.0],
    "all equal": [2.0] * 6,
    "nothing": [0.0] * 5,
    "low rank": [9.0, 8.0, -3.0] + [0.0] * 97,
    "clustered": [2.0, *(1.0 + 1e-6 * np.arange(40))],
}


@pytest.mark.parametrize("name", CASES)
def test_eigenvalues_with_their_multiplicity(name):
    matrix, count = matrix_of(CASES[name]), min(4, len(CASES[name]))
    found, scale = found_of(matrix, count), max(1.0, np.abs(CASES[name]).max())
    expected = np.sort(CASES[name])[::-1]
    np.testing.assert_allclose(found.values, expected[:count], atol=1e-12 * scale)
    assert found.least == pytest.approx(expected[-1], abs=1e-12 * scale)
    assert found.converged
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(count), atol=1e-10)
    np.testing.assert_allclose(found.vectors @ matrix, found.values[:, None] * found.vectors, atol=1e-7 * scale)


def test_a_large_matrix_takes_few_products():
    """A spectrum like that of a loss: a few values stand out of a bulk around 0."""
    bulk = np.random.default_rng(1).normal(scale=0.1, size=1195)
    values = np.concatenate([[50.0, 20.0, 12.0, 5.0, -3.0], bulk])
    matrix = matrix_of(values)
    found = found_of(matrix, 3)
    np.testing.assert_allclose(found.values, [50.0, 20.0, 12.0], rtol=1e-12)
    assert found.least == pytest.approx(-3.0, rel=1e-8)
    assert found.converged
    assert found.products <= 60
    real = np.linalg.norm(found.vectors @ matrix - found.values[:, None] * found.vectors, axis=1)
    assert (real <= found.residuals + 1e-10).all()


def test_what_has_not_converged_says_so(monkeypatch):
    monkeypatch.setattr(module, "ALL_STEPS", 10)
    matrix = matrix_of(np.linspace(-1.0, 1.0, 300))
    found = found_of(matrix, 2, most_steps=12)
    assert (found.products, found.converged) == (12, False)
    real = np.linalg.norm(found.vectors @ matrix - found.values[:, None] * found.vectors, axis=1)
    np.testing.assert_allclose(found.residuals, real, rtol=1e-6)
    assert (np.abs(found.values - 1.0) <= 0.3).all()
