"""Which runs are compiled: as configured, or by rule; a resumed one as it was."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from api_support import assert_same_state, record, run_of, write_config, write_flowers

from backprop_cli.api.train import train
from backprop_cli.api.validate import validate
from backprop_cli.config.load import load_config
from backprop_cli.errors import BpWarning, ConfigError
from backprop_cli.execution import native
from backprop_cli.execution.compiler import CompilationError, has_compiler
from backprop_cli.run.checkpoint import load
from backprop_cli.session import compilation
from backprop_cli.session.experiment import prepare
from backprop_cli.training.events import Warned

NO_COMPILER = "there is no C compiler: install gcc or clang, or name one in the environment variable CC"

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def compiler(monkeypatch):
    monkeypatch.setattr(compilation, "has_compiler", lambda: True)
    monkeypatch.setattr(compilation, "compiler_obstacle", lambda: "")


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setattr(compilation, "has_compiler", lambda: False)
    monkeypatch.setattr(compilation, "compiler_obstacle", lambda: NO_COMPILER)


def chosen(epochs=30, before=None, **training):
    write_flowers()
    loaded = load_config(write_config(training={"epochs": epochs, **training}))
    return compilation.compiles(loaded, prepare(loaded).training_spec(), before)


def test_a_long_run_is_compiled_and_a_short_one_is_not(compiler):
    assert chosen(epochs=100_000)
    assert not chosen(epochs=30)


def test_as_configured(compiler):
    assert chosen(compile=True)
    assert not chosen(epochs=100_000, compile=False)


def test_a_resumed_run_keeps_what_it_did(compiler):
    assert chosen(epochs=30, before=True)
    assert not chosen(epochs=100_000, before=False)


def test_without_a_compiler_auto_is_numpy(no_compiler):
    assert not chosen(epochs=100_000)
    assert not chosen(before=True)


def test_wanted_without_a_compiler(no_compiler, own_folder):
    with pytest.raises(ConfigError) as caught:
        chosen(compile=True)
    line = (own_folder / "flowers.yaml").read_text().splitlines().index("  compile: true") + 1
    assert str(caught.value).splitlines()[0] == (f"flowers.yaml:{line}:12: training.compile: {NO_COMPILER}")


def test_validate_refuses_what_training_would(no_compiler):
    write_flowers()
    with pytest.raises(ConfigError, match="there is no C compiler"):
        validate(write_config(training={"compile": True}))


@needs_compiler
def test_a_run_says_whether_it_is_compiled():
    write_flowers()
    events = []
    result = train(write_config(), ["training.compile=true", "training.epochs=1"], on_event=events.append)
    assert json.loads((result.run_dir / "run.json").read_text())["compiled"] is True
    assert next(event for event in events if type(event).__name__ == "Started").compiled
    resumed = train(resume=result.run_dir, overrides=["training.epochs=2", "training.compile=auto"])
    assert json.loads((resumed.run_dir / "run.json").read_text())["compiled"] is True


CONFIGS = [
    path
    for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
    if "BP_MNIST" not in path.read_text()
]
TEXTS = ("names_gru", "names_lstm", "shakespeare")
"""Trained on two of their batches, for whole epochs take minutes."""
SMALLER = {
    "residual": ["model.layers.1.repeat=8"],
    "shakespeare": [
        "model.layers.0.width=32",
        "model.layers.2.repeat=2",
        "model.layers.2.layers.1.layers.1.units=64",
        "model.layers.2.layers.1.layers.2.units=32",
        "optimizer.epsilon=1e-3",
    ],
}
"""In float32, with all their kinds of layers. For as they are NumPy's own float32 is as far from float64 as the bound,
or further: 32 blocks make rounding larger, and the norm of the large transformer's gradient, a sum of 811,073 squares,
is wrong by 1.2e-5. By the bias of an attention's keys its gradient is 0 but for rounding, of which Adam makes a step as
long as any other, unless epsilon is larger."""
PARTING = ("digits_conv", "residual")
"""Compared after three steps alone in float32: later a relu's input that is almost 0 gets the other sign by rounding,
and the weights part by 1e-3 and more. So do those of NumPy's float32 and float64: those of digits_conv with six seeds
of twenty, in two epochs."""


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("float64", 1e-9)])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_ready_configurations_train_alike(config, precision, tolerance):
    chosen = ["training.epochs=2", f"training.precision={precision}", "gradient_check=none"]
    chosen += ["training.overfit_batches=2"] if config.stem in TEXTS else []
    chosen += SMALLER.get(config.stem, []) if precision == "float32" else []
    lengths = ["training.max_steps=none"]
    if precision == "float32":
        lengths = ["training.max_steps=3", *(lengths if config.stem not in PARTING else [])]
    for length in lengths:
        tensors = []
        for compiled in ("false", "true"):
            overrides = [*chosen, length, f"training.compile={compiled}"]
            run = train(config, overrides, run_dir=Path(f"{length} {compiled}")).run_dir
            tensors.append(load(run / "checkpoints" / "last.safetensors").tensors)
        for name, plain in tensors[0].items():
            if plain.dtype.kind == "f" and plain.size:
                assert np.abs(tensors[1][name] - plain).max() <= tolerance * np.abs(plain).max(), (length, name)


@pytest.fixture
def no_code(monkeypatch):
    """A compiler that makes nothing of real steps, as one that runs out of memory."""

    def fail(texts):
        raise CompilationError("cc failed: Killed")

    monkeypatch.setattr(native, "machine_code", fail)


def test_auto_falls_back_to_numpy_if_the_steps_cannot_be_compiled(compiler, no_code, monkeypatch):
    config = write_config(optimizer="adam")
    plain, _ = run_of(config, "plain", ["training.compile=false"])
    monkeypatch.setattr(compilation, "_is_worthwhile", lambda spec: True)
    events = []
    run, _ = run_of(config, "run", on_event=events.append)
    assert Warned("the steps run on NumPy: cc failed: Killed") in events
    assert record(run)["compiled"] is False
    assert_same_state(run, plain)
    with pytest.warns(BpWarning, match="the steps run on NumPy: cc failed: Killed"):
        assert train(config, dry_run=True).status == "dry run"


def test_what_is_to_be_compiled_and_cannot_be_fails(compiler, no_code):
    config = write_config(training={"compile": True})
    with pytest.raises(CompilationError, match="cc failed: Killed; to train on NumPy"):
        train(config, run_dir=Path("run"))


def test_more_to_do_gains_more():
    write_flowers()
    loaded = load_config(write_config())
    spec = prepare(loaded).training_spec()
    few, many = (dataclasses.replace(spec.recipe, clip_norm=limit) for limit in (None, 1.0))
    programs = [compilation.training_step(recipe, 8) for recipe in (few, many)]
    assert compilation.gain(programs[0]) < compilation.gain(programs[1])
    assert compilation.cost(programs[0]) < compilation.cost(programs[1])
