"""Training with compiled steps: NumPy's numbers up to the order of sums, and the same bits every time."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from training_support import DENSE, DROPOUT, examples, recipe, spec

from backprop_cli.errors import BpWarning
from backprop_cli.execution import cache, native
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.training.loop import Trainer
from backprop_cli.training.state import State

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")

NORMED = (DENSE[0], "batch_norm", DENSE[1])
BLOCKS = (DENSE[0], {"type": "block", "repeat": 2, "residual": True, "layers": ["layer_norm", DENSE[0]]}, DENSE[1])


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "backprop-cli"


def given_job(**more):
    made = recipe(**more)
    return spec(made, examples(20, made), batch_size=8, epochs=3)


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
    given = spec(made, examples(20, made), batch_size=20, epochs=3)
    plain, compiled = trained(given, False), trained(given, True)
    assert np.abs(compiled - plain).max() <= 1e-12 * np.abs(plain).max()


def written(folder):
    """The entries by name and by file: what is compiled replaces its entry, what is loaded changes its time alone."""
    return {path.name: path.stat().st_ino for path in folder.iterdir()}


def test_same_bits_every_time_from_the_cache_too(own_cache):
    given = given_job(optimizer="adam", dtype="float32")
    first = trained(given, True)
    made = written(own_cache)
    assert made
    assert all(name.startswith("code_") for name in made)
    np.testing.assert_array_equal(trained(given, True), first)
    assert written(own_cache) == made


EVIL = b"cposix\nsystem\n(S'touch unpickled'\ntR."
"""A pickle that makes a file."""


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:100],
        lambda whole: whole[:-1],
        lambda whole: whole[:5000] + bytes([whole[5000] ^ 64]) + whole[5001:],
        lambda whole: EVIL,
        lambda whole: whole[:32] + EVIL,
    ],
)
def test_a_damaged_entry_is_compiled_again(own_cache, damage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = given_job(dtype="float32")
    first = trained(given, True)
    wholes = {path: path.read_bytes() for path in own_cache.iterdir()}
    for path, whole in wholes.items():
        path.write_bytes(damage(whole))
    damaged = written(own_cache)
    np.testing.assert_array_equal(trained(given, True), first)
    assert not set(written(own_cache).items()) & set(damaged.items())
    assert all(path.read_bytes() != damage(whole) for path, whole in wholes.items())
    assert not Path("unpickled").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"{}\n", b"[]\n", b"\xff\n", b'{"library": "x", "function": "f", "size": 3}\nabcdef', b"[" * 100_000],
)
def test_an_entry_that_this_compiler_makes_nothing_of(own_cache, content):
    """Its digest fits: another version wrote it, perhaps."""
    given = given_job(dtype="float32")
    first = trained(given, True)
    for path in own_cache.iterdir():
        cache.save("code", path.name.removeprefix("code_"), content)
    unusable = written(own_cache)
    np.testing.assert_array_equal(trained(given, True), first)
    assert not set(written(own_cache).items()) & set(unusable.items())


def test_a_folder_where_others_write_is_said_once(own_cache):
    own_cache.mkdir(mode=0o700)
    own_cache.chmod(0o777)
    native._warn_of_folder.cache_clear()
    given = given_job(dtype="float32")
    with pytest.warns(BpWarning, match="others can write there.*; steps are compiled anew$") as caught:
        trained(given, True)
        trained(given, True)
    assert len(caught) == 1
    assert list(own_cache.iterdir()) == []


def test_where_the_cache_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    given = given_job(dtype="float64")
    assert np.abs(trained(given, True) - trained(given, False)).max() < 1e-12


@pytest.mark.parametrize("which", [slice(None), slice(0, 8)], ids=["no label counts", "those of one update do not"])
def test_accumulated_batches_keep_penalties(which):
    """Two compiled batches of 4 are one of 8 by NumPy, though no position counts in some."""
    layers = ({"type": "dense", "units": 6}, {"type": "reshape", "shape": [2, 3]})
    keys = {"loss": "next_token", "optimizer": {"type": "sgd", "learning_rate": 0.1, "momentum": 0.9}, "l1": 0.1}
    whole, parts = recipe(layers, l2=0.5, **keys), recipe(layers, l2=0.5, accumulate=True, **keys)
    data = examples(20, whole)
    data.targets[which] = -1
    expected = trained(spec(whole, data, batch_size=8, epochs=2, shuffle=False), False)
    found = trained(spec(parts, data, batch_size=4, accumulate=2, epochs=2, shuffle=False), True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
