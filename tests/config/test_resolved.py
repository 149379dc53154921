"""The resolved configuration repeats the run."""

from pathlib import Path

import pytest
from config_support import DIGITS, changed, message, write

from backprop_cli.config.dump import to_yaml
from backprop_cli.config.load import from_tree, load_config
from backprop_cli.config.resolve import resolved_tree

WRITTEN = """\
name: digits
seed: 0
plugins: []
data:
  source: DATA/digits.csv
  target: digit
  features: all
  exclude: none
  categories: none
  numbers: none
  missing_values: none
  missing_target: error
  sample_weight: none
  split: {validation: 0.15, test: 0.15, stratify: true, by: none, time: none, fold: none}
  transform:
    numeric: standardize
    categorical: one_hot
    unknown: other
    missing: error
    date: auto
    cyclic: true
    format: none
    target: auto
    columns: none
  text: none
  image: none
  window: none
  augment: none
model:
  input: [64]
  layers:
    - type: dense
      name: dense_1
      inputs: [input]
      trainable: true
      activation: relu
      units: 64
      bias: true
      initializer: {type: glorot_uniform, gain: 1.0}
      bias_initializer: zeros
      parametrization: standard
    - {type: dropout, name: dropout_1, inputs: [dense_1], rate: 0.2, schedule: none}
    - type: dense
      name: dense_2
      inputs: [dropout_1]
      trainable: true
      activation: none
      units: 10
      bias: true
      initializer: {type: glorot_uniform, gain: 1.0}
      bias_initializer: zeros
      parametrization: standard
loss: {type: cross_entropy, class_weight: none, label_smoothing: 0.0}
regularization: {l1: 0.0, l2: 0.0}
optimizer: {type: adam, learning_rate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-08, amsgrad: false, groups: []}
schedule: {type: constant, warmup_steps: 0}
average: none
lookahead: none
metrics: [accuracy]
calibrate: none
intervals: none
training:
  epochs: 30
  batch_size: 32
  max_steps: none
  max_seconds: none
  overfit_batches: none
  accumulate: 1
  clip_norm: none
  clip_value: none
  shuffle: true
  members: none
  recompute: none
  precision: float32
  threads: auto
  compile: auto
early_stopping: none
checkpoint: {every_epochs: 1, every_steps: none, keep_last: 2, keep_best: 1, monitor: validation/loss}
gradient_check: none
log: {every_steps: none}
run: {directory: runs}
"""


def test_every_key_is_written(tmp_path):
    text = to_yaml(resolved_tree(load_config(write(tmp_path))))
    assert text.replace(str(tmp_path.resolve()), "DATA") == WRITTEN


RICH = (
    changed("loss: cross_entropy", "loss: {type: cross_entropy, class_weight: {0: 2.0, 'no': 0.5, setosa: 1}}")
    .replace("  source: digits.csv\n", "  train: {inputs: x.npy, targets: /data/y.npy}\n  test: t.npz\n  format: npz\n")
    .replace("activation: relu", "activation: {type: leaky_relu, negative_slope: 1e-7}, initializer: he_normal")
    + "name: '1e-3'\n"
    "optimizer: {type: sgd, momentum: 0.9}\n"
    "schedule: {type: plateau, monitor: train/loss}\n"
    "metrics: [accuracy, {type: top_k_accuracy, k: 3}]\n"
    "early_stopping: {monitor: train/accuracy}\n"
    "gradient_check: {samples: all}\n"
    "training: {threads: 2, max_seconds: 3}\n"
)

GENERATED = changed("  source: digits.csv\n  target: digit\n", "  generate: {type: spiral, noise: 0.05}\n")


@pytest.mark.parametrize("text", [DIGITS, RICH, GENERATED], ids=["plain", "rich", "generated"])
def test_it_loads_to_an_equal_configuration(tmp_path, text):
    text = text.replace("input: [64]", "input: [2]")
    loaded = load_config(write(tmp_path, text), ["seed=3"])
    tree = resolved_tree(loaded, tmp_path)
    assert from_tree(tree, base=tmp_path, label="x").config == loaded.config
    again = tmp_path / "config.resolved.yaml"
    again.write_text(to_yaml(tree))
    reloaded = load_config(again)
    assert reloaded.config == loaded.config
    assert resolved_tree(reloaded, tmp_path) == tree


def test_paths_hold_from_where_it_lies(tmp_path):
    (tmp_path / "configs").mkdir()
    run = tmp_path / "runs" / "digits" / "1"
    run.mkdir(parents=True)
    text = RICH.replace("x.npy", "../datasets/x.npy")
    loaded = load_config(write(tmp_path / "configs", text))
    data = resolved_tree(loaded, run)["data"]
    assert data["train"] == {"inputs": "../../../datasets/x.npy", "targets": "/data/y.npy"}
    assert data["test"] == "../../../configs/t.npz"
    assert resolved_tree(loaded)["data"]["train"]["inputs"] == str(tmp_path.resolve() / "datasets" / "x.npy")


def test_paths_hold_through_a_linked_folder(tmp_path):
    (tmp_path / "disk" / "runs").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "runs").symlink_to(tmp_path / "disk" / "runs")
    (tmp_path / "here" / "digits.csv").write_text("x")
    loaded = load_config(write(tmp_path / "here"))
    source = resolved_tree(loaded, tmp_path / "here" / "runs")["data"]["source"]
    assert (tmp_path / "here" / "runs" / source).read_text() == "x"


def test_paths_may_be_told_from_the_working_directory():
    write(Path())
    loaded = load_config(Path("digits.yaml"))
    assert resolved_tree(loaded, Path())["data"]["source"] == "digits.csv"


def test_long_lists_go_over_several_lines():
    tree = {"features": [f"feature_{number}" for number in range(12)], "deep": {"list": [[{"a": 1}], []], "empty": {}}}
    assert to_yaml(tree) == (
        "features:\n"
        + "".join(f"  - feature_{number}\n" for number in range(12))
        + "deep: {list: [[{a: 1}], []], empty: {}}\n"
    )


def test_a_variable_of_the_environment_in_a_path(tmp_path, monkeypatch):
    text = changed("source: digits.csv", "source: ${DIGITS_FOLDER:-../datasets}/digits${SUFFIX:-}.csv")
    path = write(tmp_path, text)
    assert load_config(path).config.data.source == "../datasets/digits.csv"
    monkeypatch.setenv("DIGITS_FOLDER", "mine")
    monkeypatch.setenv("SUFFIX", "-2")
    assert load_config(path).config.data.source == f"{Path.cwd()}/mine/digits-2.csv"


def test_a_variable_that_is_not_set(monkeypatch):
    monkeypatch.delenv("DIGITS_FOLDER", raising=False)
    assert message(changed("source: digits.csv", "source: ${DIGITS_FOLDER}/digits.csv")) == (
        "digits.yaml:2:11: data.source: the environment variable DIGITS_FOLDER is not set; set it, or write a path\n"
        "    2 |   source: ${DIGITS_FOLDER}/digits.csv\n"
        "      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    )
