"""A plugin with a type of every kind that a network is trained by, and what starts from a run that used it."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from api_support import LAYERS, bp, last, merged, run_of, write_config, write_flowers
from plugins_support import CUBE_OP, plugin

from backprop_cli.api.eval import evaluate
from backprop_cli.api.list_types import list_types
from backprop_cli.run.checkpoint import load

IMPORTS = """\
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.plugin import (
    FORMATS, LAYERS, LOSSES, METRICS, OPS, OPTIMIZERS, Elementwise, Layer, Loss, Metric, Optimizer, Sample, ad, sample
)

tanh, Csv = ad.tanh, FORMATS["csv"]
"""
FORMER_IMPORTS = """\
from typing import ClassVar, Literal

import numpy as np

from backprop_cli.autodiff import tanh
from backprop_cli.autodiff.families import Elementwise
from backprop_cli.autodiff.op import OPS, sample
from backprop_cli.data.format import FORMATS
from backprop_cli.data.formats.csv import Csv
from backprop_cli.nn.layer import LAYERS, Layer, Sample
from backprop_cli.nn.loss import LOSSES, Loss
from backprop_cli.nn.metric import METRICS, Metric
from backprop_cli.nn.optimizer import OPTIMIZERS, Optimizer
"""
TYPES = (
    CUBE_OP
    + '''

@LAYERS.register
class Bent(Layer):
    """``out = x + tanh(x)^3``."""

    type: Literal["bent"] = "bent"
    position_wise: ClassVar = True
    samples: ClassVar = (Sample({}, ((3,),)),)

    def apply(self, params, *x):
        return x[0] + Cube()(tanh(x[0]))


@LOSSES.register
class HalfSquared(Loss):
    """``loss = mean((outputs - targets)^2 / 2)``."""

    type: Literal["half_squared"] = "half_squared"
    task: ClassVar = "regression"

    def costs(self, outputs, targets):
        residual = outputs - targets
        return 0.5 * residual * residual


@METRICS.register
class LargestError(Metric):
    """``max(|outputs - targets|)``."""

    type: Literal["largest_error"] = "largest_error"
    tasks: ClassVar = ("regression",)
    better: ClassVar = "min"

    def compute(self, predictions):
        return float(np.abs(predictions.residuals).max())


@OPTIMIZERS.register
class Halved(Optimizer):
    """``direction = g / 2``."""

    type: Literal["halved"] = "halved"

    def update(self, g, slot, scalar, parameter):
        return 0.5 * g, {}

    def formula(self, step, g, slot, parameter):
        return g / 2, {}


@FORMATS.register
class Semicolons(Csv):
    """Values between semicolons."""

    suffixes: ClassVar = (".ssv",)
    delimiter: ClassVar = ";"
'''
)
KINDS = IMPORTS + TYPES
NAMES = {
    "ops": "cube",
    "layers": "bent",
    "losses": "half_squared",
    "metrics": "largest_error",
    "optimizers": "halved",
    "formats": "semicolons",
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def config(**more):
    lines = write_flowers().read_text().splitlines()
    Path("flowers.ssv").write_text("".join(line.rpartition(",")[0].replace(",", ";") + "\n" for line in lines))
    sections = {
        "plugins": ["mine.py"],
        "data": {"source": "flowers.ssv", "target": "y"},
        "model": {"layers": [LAYERS[0], "bent", {"type": "dense", "units": 1}]},
        "loss": "half_squared",
        "metrics": ["largest_error"],
        "optimizer": {"type": "halved", "learning_rate": 0.1},
    }
    return write_config(**merged(sections, more))


def test_a_network_is_trained_by_one_of_each():
    plugin(KINDS)
    run, result = run_of(config(gradient_check={}), "run")
    assert result.metrics["train/largest_error"] > 0
    assert evaluate(run, plugins=["mine.py"]).metrics["largest_error"] == result.metrics["test/largest_error"]
    other, _ = run_of(config(), "other", ["optimizer.type=sgd", "optimizer.learning_rate=0.05"])
    for name, array in last(other).tensors.items():
        np.testing.assert_allclose(last(run).tensors[name], array, rtol=1e-6, err_msg=name)


def test_the_former_places_of_the_names_are_still_there():
    plugin(FORMER_IMPORTS + TYPES)
    _, result = run_of(config(gradient_check={}), "run")
    assert result.metrics["train/largest_error"] > 0


@pytest.mark.parametrize(("kind", "name"), NAMES.items())
def test_each_is_listed_with_its_page(kind, name):
    plugin(KINDS)
    assert list_types(kind, name, plugins=["mine.py"]).entries[0].page
    assert name in [entry.name for entry in list_types(kind, plugins=["mine.py"]).entries]
    assert name not in [entry.name for entry in list_types(kind).entries]


def test_a_run_that_starts_from_its_weights_runs_no_code():
    plugin(KINDS)
    run, _ = run_of(config(), "run")
    plugin("raise SystemExit('was run')\n")
    layers = [LAYERS[0], {"type": "dense", "units": 1}]
    plain = write_config(
        data={"target": "y", "features": ["x"]},
        model={"layers": layers, "from_checkpoint": {"path": "run"}},
        loss="mean_squared_error",
    )
    tuned, _ = run_of(plain, "tuned", ["training.epochs=0"])
    start = load(run / "checkpoints" / "best.safetensors").tensors
    np.testing.assert_array_equal(last(tuned).tensors["dense_1.weight"], start["dense_1.weight"])


def test_a_text_is_not_continued_by_code_that_nobody_named(capsys):
    plugin(KINDS)
    Path("words.txt").write_text("abc\n" * 50)
    layers = [{"type": "embedding", "tokens": 4, "width": 3}, "bent", {"type": "dense", "units": 4}]
    tree = {"data": {"source": "words.txt", "text": {"context": 4}}, "model": {"layers": layers}, "loss": "next_token"}
    Path("words.yaml").write_text(yaml.safe_dump({"plugins": ["mine.py"], **tree}))
    run, _ = run_of(Path("words.yaml"), "run", ["training.epochs=1"])
    assert bp("generate", run, "--tokens", 3, "--plugins", "mine.py") == 0
    capsys.readouterr()
    plugin("raise SystemExit('was run')\n")
    for words in (["generate", run], ["train", "--find-lr", "--resume", run]):
        assert bp(*words) == 2
        assert "whose code is not run unasked" in capsys.readouterr().err
