"""Starting values that depend on the train split."""

from typing import Annotated, NamedTuple

import numpy as np
import pytest
from pydantic import TypeAdapter

from backprop_cli import autodiff as ad
from backprop_cli.nn.ensembled import ensembled
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.model import Model
from backprop_cli.registry import Choice
from backprop_cli.settings import Settings
from backprop_cli.training.fitting import MOST, fit_layers

FITTED = {"initializer": "unit_variance", "bias_initializer": "he_plus"}
DENSE = [
    {"type": "dense", "units": 5, **FITTED},
    {"type": "dense", "units": 3, "parametrization": "ntk", **FITTED},
]


class _Examples(NamedTuple):
    inputs: np.ndarray
    targets: np.ndarray
    weights: None = None
    exact: None = None


def _layers(settings=DENSE):
    return [TypeAdapter(Annotated[Settings, Choice(LAYERS)]).validate_python(each) for each in settings]


def _fitted(layers, x, seed=0):
    model = Model.build(layers, x.shape[1:])
    arrays = model.init(np.random.default_rng(seed))
    drawn = {name: array.copy() for name, array in arrays.items()}
    fit_layers(model, arrays, _Examples(x, np.zeros((len(x), 3))), seed)
    return model, drawn, arrays


def _outputs(model, arrays, x, name):
    """The outputs of a layer."""
    values = {key: ad.input_(key, array.shape) for key, array in arrays.items()}
    examples = ad.input_("input", x.shape)
    feed = {examples: x, **{values[key]: array for key, array in arrays.items()}}
    (found,) = ad.evaluate([model.walk(values, examples).layers[name]], feed)
    return found


@pytest.mark.parametrize("members", [None, 4])
def test_each_unit_varies_by_1_and_is_0_among_the_data(members):
    x = 3 + 2 * np.random.default_rng(1).normal(size=(200, 4))
    model, drawn, arrays = _fitted(_layers() if members is None else ensembled(_layers(), members), x)
    for name in ("dense_1", "dense_2"):
        assert not np.array_equal(drawn[f"{name}.weight"], arrays[f"{name}.weight"])
        found = _outputs(model, {**arrays, f"{name}.bias": np.zeros_like(arrays[f"{name}.bias"])}, x, name)
        by_unit = found.reshape(-1, found.shape[-1]) if members and name == "dense_1" else found
        np.testing.assert_allclose(by_unit.std(axis=0), 1, rtol=1e-12)
        kinks = -arrays[f"{name}.bias"]
        assert ((found.min(axis=0) < kinks) & (kinks < found.max(axis=0))).all()
        assert len(np.unique(kinks)) == kinks.size


def test_the_seed_decides():
    x = np.random.default_rng(1).normal(size=(50, 4))
    first, again, other = (_fitted(_layers(), x, seed)[2] for seed in (0, 0, 1))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert not np.array_equal(first["dense_1.bias"], other["dense_1.bias"])


def test_other_layers_start_as_they_are_drawn():
    x = np.random.default_rng(1).normal(size=(50, 4))
    _, drawn, arrays = _fitted(_layers([{"type": "dense", "units": 5}, DENSE[1]]), x)
    np.testing.assert_array_equal(drawn["dense_1.weight"], arrays["dense_1.weight"])


def test_many_examples_are_taken_evenly():
    """The first half is constant, so a layer that saw it alone would not vary."""
    x = np.concatenate([np.zeros((MOST, 4)), np.random.default_rng(1).normal(size=(MOST, 4))])
    _, drawn, arrays = _fitted(_layers([DENSE[0]]), x)
    outputs = x[::2] @ drawn["dense_1.weight"].T
    np.testing.assert_allclose(arrays["dense_1.weight"], drawn["dense_1.weight"] / outputs.std(axis=0)[:, None])


def test_a_unit_without_variance_stays():
    _, drawn, arrays = _fitted(_layers([DENSE[0]]), np.ones((5, 4)))
    np.testing.assert_array_equal(drawn["dense_1.weight"], arrays["dense_1.weight"])


@pytest.mark.parametrize("initializer", ["he_normal", "lecun_uniform"])
def test_ntk_starts_as_the_same_function(initializer):
    start = []
    for way, factor in (("standard", 1.0), ("ntk", 1 / 2.0)):
        layer = {"type": "dense", "units": 3, "initializer": initializer, "parametrization": way}
        model = Model.build(_layers([layer]), (4,))
        start.append(model.init(np.random.default_rng(0))["dense_1.weight"] * factor)
    np.testing.assert_allclose(*start, rtol=1e-15)
