"""Networks on every kind of data in C, with all parts that they allow, and steps with dropout and moving statistics."""

import ctypes

import numpy as np
import pytest
from test_c_networks import Library, self_test

import backprop_cli
from backprop_cli.errors import UsageError
from backprop_cli.execution.compiler import has_compiler
from backprop_cli.execution.plan import Plan
from backprop_cli.training.step_program import training_step

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")]

ALL = ["jacobian", "hessian-vector", "training"]
TRAINED = "training: {epochs: 1, batch_size: 8}\nname: net\n"
VARIETIES = {
    "text": (
        """
data: {source: data.txt, text: {context: 12}, split: {validation: 0, test: 0}}
model:
  layers:
    - {type: embedding, tokens: 8, width: 6}
    - positional_embedding
    - {type: attention, heads: 2, causal: true}
    - {type: gru, units: 5, output: sequence}
    - {type: dense, units: 8}
loss: next_token
""",
        ["hessian-vector", "training"],
    ),
    "series": (
        """
data:
  source: data.csv
  target: x
  window: {length: 6, horizon: 2}
  split: {validation: 0, test: 0}
  transform: {target: standardize}
model: {layers: [{type: lstm, units: 3, output: last}, {type: dense, units: 2}]}
loss: huber
""",
        ALL,
    ),
    "binary": (
        """
data:
  source: data.csv
  target: yes
  categories: [k]
  split: {validation: 0, test: 0}
  transform: {categorical: ordinal}
model: {layers: [{type: dense, units: 4, activation: gelu}, {type: dense, units: 1}]}
loss: binary_cross_entropy
optimizer: {type: radam}
regularization: {l1: 1e-3, l2: 1e-3}
""",
        ALL,
    ),
    "incomplete": (
        """
data:
  source: gaps.csv
  target: yes
  split: {validation: 0, test: 0}
  transform: {missing: indicator}
model: {layers: [{type: dense, units: 4, activation: tanh}, {type: dense, units: 1}]}
loss: binary_cross_entropy
""",
        ALL,
    ),
    "bent": (
        """
data:
  source: data.csv
  target: yes
  features: [x, y, k]
  split: {validation: 0, test: 0}
  transform: {numeric: quantile, columns: {y: {numeric: robust}, k: {numeric: log}}}
model: {layers: [{type: dense, units: 4, activation: tanh}, {type: dense, units: 1}]}
loss: binary_cross_entropy
""",
        ALL,
    ),
    "bent images": (
        """
data: {source: data.npz, target: targets, split: {validation: 0, test: 0}, transform: {numeric: quantile}}
model: {layers: [{type: dense, units: 3}]}
loss: cross_entropy
""",
        [],
    ),
    "dates": (
        """
data:
  source: dates.csv
  target: yes
  split: {validation: 0, test: 0}
  transform:
    missing: indicator
    date: [year, month, day, weekday, hour, elapsed]
    columns: {s: {cyclic: false, format: "%d.%m.%Y"}}
model: {layers: [{type: dense, units: 4, activation: tanh}, {type: dense, units: 1}]}
loss: binary_cross_entropy
""",
        ALL,
    ),
    "quantiles": (
        """
data:
  source: data.csv
  target: [x, y]
  sample_weight: k
  split: {validation: 0, test: 0}
  transform: {target: standardize}
model: {layers: [{type: dense, units: 4, activation: tanh}, {type: dense, units: 6}]}
loss: {type: quantile, quantile: [0.1, 0.5, 0.9]}
optimizer: {type: nadam}
""",
        ALL,
    ),
    "autoencoder": (
        """
data: {source: data.csv, target: features, features: [x, y], split: {validation: 0, test: 0}}
model:
  layers:
    - {type: dense, units: 3, activation: elu}
    - {type: block, repeat: 2, residual: true, layers: [rms_norm, {type: dense, units: 3}]}
    - {type: dense, units: 2}
loss: mean_squared_error
optimizer: {type: adamax}
""",
        ALL,
    ),
    "images": (
        """
data: {source: data.npz, target: targets, split: {validation: 0, test: 0}, transform: {numeric: {scale: 0.1}}}
model:
  input: [1, 5, 5]
  layers:
    - {type: conv2d, channels: 3, kernel: 3, padding: 1, activation: relu}
    - batch_norm
    - {type: dropout, rate: 0.3}
    - {type: max_pool, kernel: 2}
    - flatten
    - {type: dense, units: 3}
loss: cross_entropy
optimizer: {type: muon, fallback: {type: adam, learning_rate: 0.01}}
""",
        ALL,
    ),
}


def _data(folder):
    rng = np.random.default_rng(0)
    (folder / "data.txt").write_text("".join(rng.choice(list("abcdefgh"), 300)))
    lines = ["x,y,k,yes"]
    for row in range(60):
        x, y = rng.normal(size=2)
        lines.append(f"{x:.4f},{100 + y:.4f},{row % 3},{'no' if x > 0 else 'yes'}")
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    gaps = [f"{'' if row % 7 == 3 else row},{row % 5},{['u', 'v', ''][row % 3]},{row % 2}" for row in range(60)]
    (folder / "gaps.csv").write_text("\n".join(["x,y,k,yes", *gaps]) + "\n")
    days = [np.datetime64("1999-11-20T06:30") + np.timedelta64(7 * row * row, "h") for row in range(60)]
    dates = [f"{'' if row % 9 == 4 else day},{day.item():%d.%m.%Y},{row % 2}" for row, day in enumerate(days)]
    (folder / "dates.csv").write_text("\n".join(["t,s,yes", *dates]) + "\n")
    np.savez(folder / "data.npz", inputs=rng.integers(0, 9, (40, 25)), targets=np.arange(40) % 3)


def _run(name, folder, overrides=()):
    _data(folder)
    (folder / "net.yaml").write_text(VARIETIES[name][0] + TRAINED)
    return backprop_cli.train(folder / "net.yaml", overrides=overrides, run_dir=folder / "run").run_dir


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", VARIETIES)
def test_a_variety(name, precision, tmp_path):
    run = _run(name, tmp_path)
    for parts in ([], VARIETIES[name][1]):
        batch = 3 if {"hessian-vector", "training"} & set(parts) else None
        backprop_cli.export(run, tmp_path / "net.c", parts=parts, precision=precision, batch=batch)
        assert "largest relative difference" in self_test(tmp_path / "net.c")


def test_steps_with_dropout_moving_statistics_and_several_optimizers(tmp_path):
    run = _run("images", tmp_path, ["training.precision=float64"])
    library, batch = Library(run, tmp_path, "training"), 4
    recipe = library.saved.recipe
    plan = Plan(training_step(recipe, batch))
    rng = np.random.default_rng(3)
    inputs, labels = rng.integers(0, 9, (batch, 25)).astype(float), np.array([0, 2, 1, 1])
    for name in recipe.states():
        plan.inputs[name][...] = library.saved.vectors.get(name, 0.0)
    noise = {name: rng.random(plan.inputs[name].shape) for name in recipe.model.noise(batch)}
    flat = np.concatenate([array.reshape(-1) for array in noise.values()])
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (library.state, inputs, labels, flat)]
    for step in (1, 2, 3):
        given = {"inputs": inputs.reshape(plan.inputs["inputs"].shape) * 0.1, "targets": labels, **noise}
        for span in recipe.spans:
            given[span.learning_rate] = span.optimizer.learning_rate
            given |= {span.prefix + key: value for key, value in span.optimizer.scalars(step).items()}
        for name, value in given.items():
            plan.inputs[name][...] = value
        plan.run()
        report = np.zeros(3)
        rate = ctypes.c_double(recipe.optimizer.learning_rate)
        code = library.functions.net_train(*pointers, rate, ctypes.c_void_p(report.ctypes.data))
        assert code == 0
        assert report[0] == pytest.approx(float(plan.outputs["loss"]), rel=1e-12)
    numbers = library.state[: library.result.memory["state"]].view(np.float64)
    expected = np.concatenate([plan.inputs[name] for name in recipe.states()])
    np.testing.assert_allclose(numbers, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("key", "value"), [("average", "ema"), ("lookahead", "{steps: 2}")])
def test_a_training_that_is_more_than_its_steps_is_refused(key, value, tmp_path):
    _data(tmp_path)
    (tmp_path / "net.yaml").write_text(f"{VARIETIES['binary'][0]}{TRAINED}{key}: {value}\n")
    run = backprop_cli.train(tmp_path / "net.yaml", run_dir=tmp_path / "run").run_dir
    with pytest.raises(UsageError, match=f"--with training: {key} is not part of a step in C"):
        backprop_cli.export(run, tmp_path / "net.c", parts=["training"])
    assert not (tmp_path / "net.c").exists()
