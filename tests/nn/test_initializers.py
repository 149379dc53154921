"""Initializers: their scale, their reproducibility, orthogonality."""

import numpy as np
import pytest
from nn_support import build, label, samples
from pydantic import ValidationError

from backprop_cli.errors import ShapeError
from backprop_cli.nn.initializer import INITIALIZERS

CASES = [settings for _, settings in samples(INITIALIZERS)]
SHAPE, FAN_IN, FAN_OUT = (300, 200), 200, 300
SMALL = (30, 20)


def _sample(settings, shape=SHAPE, seed=0):
    return build(INITIALIZERS, settings).sample(np.random.default_rng(seed), shape, FAN_IN, FAN_OUT)


@pytest.mark.parametrize("settings", CASES, ids=label)
@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 3, 4, 5)])
def test_fills_the_shape_in_float64(settings, shape):
    array = _sample(settings, shape)
    assert (array.shape, array.dtype) == (shape, np.float64)
    assert array.flags.c_contiguous and array.flags.writeable
    assert np.isfinite(array).all()


@pytest.mark.parametrize("settings", CASES, ids=label)
def test_same_seed_same_bits(settings):
    np.testing.assert_array_equal(_sample(settings, SMALL), _sample(settings, SMALL))


# Variance and, for uniform ones, the bound: both follow from the formula of the source.
SCALES = {
    "glorot_uniform": (2 / 500, (6 / 500) ** 0.5),
    "glorot_normal": (2 / 500, None),
    "he_uniform": (2 / 200, (6 / 200) ** 0.5),
    "he_normal": (2 / 200, None),
    "lecun_uniform": (1 / 200, (3 / 200) ** 0.5),
    "lecun_normal": (1 / 200, None),
    "uniform": (0.1**2 / 12, 0.05),
    "normal": (0.05**2, None),
}


@pytest.mark.parametrize("name", SCALES)
def test_scale(name):
    variance, bound = SCALES[name]
    array = _sample(name)
    assert array.var() == pytest.approx(variance, rel=0.02)
    assert array.mean() == pytest.approx(0, abs=4 * (variance / array.size) ** 0.5)
    if bound is None:
        assert np.abs(array).max() > 3.5 * variance**0.5
    else:
        assert 0.999 * bound < np.abs(array).max() <= bound


@pytest.mark.parametrize("name", ["glorot_uniform", "glorot_normal", "orthogonal"])
def test_gain_is_a_factor(name):
    np.testing.assert_allclose(_sample({"type": name, "gain": 2.0}, SMALL), 2 * _sample(name, SMALL), rtol=1e-15)


def test_constants():
    assert np.all(_sample("zeros") == 0)
    assert np.all(_sample("ones") == 1)
    assert np.all(_sample({"type": "constant", "value": 0.3}) == 0.3)
    assert np.all(_sample({"type": "normal", "mean": 2.0, "std": 0.0}) == 2)


def test_uniform_and_normal_as_asked():
    array = _sample({"type": "uniform", "low": 1.0, "high": 3.0})
    assert array.min() >= 1
    assert array.max() < 3
    assert _sample({"type": "normal", "mean": 5.0, "std": 2.0}).mean() == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (3, 2, 2, 2)])
def test_orthogonal(shape):
    array = _sample({"type": "orthogonal", "gain": 1.5}, shape)
    matrix = array.reshape(shape[0], -1)
    small = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, 2.25 * np.eye(len(small)), atol=1e-13)


def test_orthogonal_matrices_have_no_preferred_sign():
    signs = [np.sign(_sample("orthogonal", (3, 3), seed)[0, 0]) for seed in range(200)]
    assert abs(np.mean(signs)) < 0.25


def test_orthogonal_bias():
    with pytest.raises(ShapeError) as caught:
        _sample("orthogonal", (4,))
    assert str(caught.value) == "initializer orthogonal: needs at least two axes, the parameter has shape [4]"


@pytest.mark.parametrize(
    ("settings", "place", "text"),
    [
        (
            {"type": "uniform", "low": 0.2, "high": 0.1},
            ("high",),
            "must be greater than low (0.2), got 0.1",
        ),
        ({"type": "uniform", "low": 1}, ("high",), "must be greater than low (1.0), got 0.05"),
        ({"type": "normal", "std": -1}, ("std",), "Input should be greater than or equal to 0"),
        ({"type": "orthogonal", "gain": 0}, ("gain",), "Input should be greater than 0"),
    ],
)
def test_settings_out_of_range(settings, place, text):
    with pytest.raises(ValidationError) as caught:
        build(INITIALIZERS, settings)
    (problem,) = caught.value.errors()
    assert (problem["loc"], problem["msg"]) == (place, text)
