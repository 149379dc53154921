"""Training with compiled steps: NumPy's numbers up to the order of sums, and the same bits every time."""

import dataclasses

import numpy as np
import pytest
from training_support import DENSE, DROPOUT, examples, job, recipe

from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State

pytest.importorskip("numba")

NORMED = (DENSE[0], "batch_norm", DENSE[1])
BLOCKS = (DENSE[0], {"type": "block", "repeat": 2, "residual": True, "layers": ["layer_norm", DENSE[0]]}, DENSE[1])


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "backprop-cli"


def given_job(**more):
    made = recipe(**more)
    return job(made, examples(20, made), batch_size=8, epochs=3)


def trained(given, compiled):
    state = State.start(given.recipe, given.seed)
    for _ in Trainer(dataclasses.replace(given, compiled=compiled), state).run():
        pass
    return np.concatenate(list(state.network.values()))


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float64", 1e-12), ("float32", 1e-6)],
)
@pytest.mark.parametrize("layers", [DENSE, DROPOUT, NORMED, BLOCKS], ids=["dense", "dropout", "batch_norm", "blocks"])
def test_numbers_of_numpy(dtype, tolerance, layers):
    given = given_job(
        layers=layers, dtype=dtype, optimizer={"type": "sgd", "learning_rate": 0.1, "momentum": 0.9}, l2=1e-3
    )
    plain, compiled = trained(given, False), trained(given, True)
    assert np.abs(compiled - plain).max() <= tolerance * np.abs(plain).max()


@pytest.mark.parametrize(
    "optimizer",
    [
        {"type": "adamw", "groups": [{"parameters": "*.bias", "weight_decay": 0.0, "learning_rate": 0.1}]},
        {"type": "muon", "fallback": "radam"},
        {"type": "lamb", "weight_decay": 0.1},
    ],
    ids=["groups", "muon", "lamb"],
)
def test_parts_of_the_vector(optimizer):
    given = given_job(layers=DROPOUT, optimizer=optimizer, dtype="float64")
    plain, compiled = trained(given, False), trained(given, True)
    assert np.abs(compiled - plain).max() <= 1e-12 * np.abs(plain).max()


def test_a_full_batch():
    """Compared where rounding has not grown yet: which step a search takes hangs on it."""
    made = recipe(layers=DENSE, optimizer={"type": "lbfgs", "tolerance": 0.0}, l2=1e-2)
    given = job(made, examples(20, made), batch_size=20, epochs=3)
    plain, compiled = trained(given, False), trained(given, True)
    assert np.abs(compiled - plain).max() <= 1e-12 * np.abs(plain).max()


def test_same_bits_every_time_from_the_cache_too(own_cache):
    given = given_job(optimizer="adam", dtype="float32")
    first = trained(given, True)
    made = sorted(own_cache.rglob("*.nbc"))
    np.testing.assert_array_equal(trained(given, True), first)
    assert made
    assert sorted(own_cache.rglob("*.nbc")) == made


def test_where_the_cache_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    given = given_job(dtype="float64")
    assert np.abs(trained(given, True) - trained(given, False)).max() < 1e-12
