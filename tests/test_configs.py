"""The ready configurations load and train, and reach the figures that docs/ready.md states."""

import gzip
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from backprop_cli.api.show import show
from backprop_cli.api.train import train
from backprop_cli.config.load import load_config

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
NEEDS_FILES = {path.stem for path in CONFIGS if "BP_MNIST" in path.read_text()}
SEEDS = range(5)
MNIST = os.environ.get("BP_MNIST") and str(Path(os.environ["BP_MNIST"]).resolve())
needs_mnist = pytest.mark.skipif(not MNIST, reason="BP_MNIST names no folder with the files of MNIST")
OTHER_PROCESSORS = 0.01
"""How far a mean may be from that of docs/ready.md: other last digits move an example or two across a border."""

AT_LEAST = {
    "iris": ("accuracy", 0.93),
    "digits": ("accuracy", 0.97),
    "digits_conv": ("accuracy", 0.97),
    "breast_cancer": ("accuracy", 0.96),
    "penguins": ("accuracy", 0.97),
    "california_housing": ("r2", 0.75),
    "linear_regression": ("r2", 0.998),
    "logistic_regression": ("accuracy", 0.96),
    "xor": ("accuracy", 0.995),
    "spiral": ("accuracy", 0.97),
    "skip": ("accuracy", 0.96),
}
AT_MOST = {
    "diabetes": ("root_mean_squared_error", 58),
    "digits_autoencoder": ("root_mean_squared_error", 0.15),
    "airline": ("root_mean_squared_error", 17),
    "sunspots": ("root_mean_squared_error", 19),
}
NATS_AT_MOST = {"names_gru": ("test", 1.99), "names_lstm": ("test", 1.99), "shakespeare": ("validation", 1.88)}
"""The split, and the loss of a letter there: what is published for these texts (the configurations say where)."""
MNIST_ERRORS_AT_MOST = {"lenet": 0.0095, "mnist_800": 0.016, "mnist_dropout": 0.013}
"""Shares of the test images, as published for such networks (the configurations say where)."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Runs go where the test's files go; the folder of MNIST, where there is one, stays where it is."""
    monkeypatch.chdir(tmp_path)
    if MNIST:
        monkeypatch.setenv("BP_MNIST", MNIST)


def named(paths):
    return [pytest.param(path, id=path.stem) for path in paths]


def beginning(path):
    """A file with the first letters of a configuration's text, and those that do not occur among them."""
    text = (path.parent / str(load_config(path).config.data.source)).read_text()
    first = text[:20_000]
    into = Path("beginning.txt").resolve()
    into.write_text(first + "".join(sorted(set(text) - set(first))))
    return into


def on_test(name, metric):
    """The metric on the test split for each seed."""
    config = ROOT / "configs" / f"{name}.yaml"
    return [train(config, [f"seed={seed}"]).metrics[f"test/{metric}"] for seed in SEEDS]


def mnist_images(name):
    """(images, 784), from 0 to 1; the file's head takes 16 bytes."""
    pixels = gzip.decompress((Path(MNIST) / name).read_bytes())[16:]
    return np.frombuffer(pixels, np.uint8).reshape(-1, 784) / 255


def in_readme(name):
    """The mean that docs/ready.md says was measured."""
    row = re.search(rf"^\| {name} \| [^|]+ \| ([\d.]+) \|", (ROOT / "docs" / "ready.md").read_text(), re.MULTILINE)
    assert row is not None
    return float(row[1])


@pytest.mark.parametrize("path", named(CONFIGS))
def test_it_loads_checks_gradients_and_begins_with_a_comment(path):
    assert load_config(path).config.gradient_check is not None
    assert path.read_text().startswith("# ")


@pytest.mark.slow
@pytest.mark.parametrize("path", named(path for path in CONFIGS if path.stem not in NEEDS_FILES))
def test_its_first_steps_run(path):
    """`bp gradcheck` of all its parameters is in tests/api/test_ready_configs.py."""
    split, _ = NATS_AT_MOST.get(path.stem, ("test", None))
    short = ["training.max_steps=10", "gradient_check.max_seconds=0.2"]
    if path.stem in NATS_AT_MOST:
        short.append(f"data.source={beginning(path)}")
    result = train(path, ["training.threads=1", *short])
    assert result.status == "finished"
    assert result.metrics[f"{split}/loss"] > 0


def test_the_network_of_mnist_needs_no_files():
    assert show(ROOT / "configs" / "mnist.yaml").to_json()["parameters"] == 784 * 100 + 100 + 100 * 10 + 10


def test_every_configuration_has_a_bar():
    assert {path.stem for path in CONFIGS} == {*AT_LEAST, *AT_MOST, *NATS_AT_MOST, *NEEDS_FILES, "residual"}
    assert {*MNIST_ERRORS_AT_MOST, "mnist", "autoencoder"} == NEEDS_FILES


@pytest.mark.slow
@pytest.mark.parametrize("name", AT_LEAST)
def test_it_reaches_its_bar_and_the_figure_in_the_readme(name):
    metric, bar = AT_LEAST[name]
    mean = fmean(on_test(name, metric))
    assert mean >= bar
    assert mean == pytest.approx(in_readme(name), abs=OTHER_PROCESSORS)


@pytest.mark.slow
@pytest.mark.parametrize("name", AT_MOST)
def test_it_stays_under_its_bar(name):
    metric, bar = AT_MOST[name]
    mean = fmean(on_test(name, metric))
    assert mean < bar
    assert mean == pytest.approx(in_readme(name), rel=OTHER_PROCESSORS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ("airline", "sunspots"))
def test_a_series_is_told_better_than_without_a_network(name):
    result = train(ROOT / "configs" / f"{name}.yaml")
    of_baselines = [values["test/root_mean_squared_error"] for values in result.to_json()["baselines"].values()]
    assert len(of_baselines) == 2
    assert result.metrics["test/root_mean_squared_error"] < min(of_baselines)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NATS_AT_MOST)
def test_a_text_is_told_as_well_as_is_published(name):
    split, bar = NATS_AT_MOST[name]
    assert train(ROOT / "configs" / f"{name}.yaml").metrics[f"{split}/loss"] <= bar


@pytest.mark.slow
@pytest.mark.parametrize("seed", (0, 1))
def test_a_network_of_32_blocks_needs_its_residual_arrows(seed):
    def accuracy(residual):
        overrides = [f"seed={seed}", f"model.layers.1.residual={residual}"]
        return train(ROOT / "configs" / "residual.yaml", overrides).metrics["test/accuracy"]

    assert accuracy("true") >= 0.92
    assert accuracy("false") <= 0.3


@pytest.mark.slow
@needs_mnist
def test_mnist_reaches_its_bar():
    assert fmean(on_test("mnist", "accuracy")) >= 0.974


@pytest.mark.long
@pytest.mark.timeout(3600)
@needs_mnist
@pytest.mark.parametrize("name", MNIST_ERRORS_AT_MOST)
def test_errors_on_mnist_are_as_few_as_published(name):
    accuracy = train(ROOT / "configs" / f"{name}.yaml").metrics["test/accuracy"]
    assert 1 - accuracy <= MNIST_ERRORS_AT_MOST[name] + 1e-9  # the share of 10,000 images, rounded


@pytest.mark.long
@pytest.mark.timeout(3600)
@needs_mnist
def test_the_autoencoder_keeps_more_of_an_image_than_as_many_principal_components():
    waist = 16
    shown, test = (mnist_images(name) for name in ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"))
    mean = shown.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(shown, rowvar=False))
    largest = directions[:, -waist:]
    left = (test - mean) - (test - mean) @ largest @ largest.T
    assert train(ROOT / "configs" / "autoencoder.yaml").metrics["test/loss"] < np.mean(np.square(left))


@pytest.mark.slow
def test_fifty_epochs_of_iris_take_under_a_second_and_a_half():
    """The whole process; the best of three, for other processes run beside it."""
    command = [str(Path(sys.executable).parent / "bp"), "train", str(ROOT / "configs" / "iris.yaml"), "--quiet"]
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.5
