"""Networks for tables: groups of columns, bins fitted on the train split, ensembles; every command carries them."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, merged, write_config

from backprop_cli.api.explain import explain
from backprop_cli.api.gradcheck import gradcheck
from backprop_cli.api.jacobian import jacobian
from backprop_cli.api.predict import predict
from backprop_cli.api.show import show
from backprop_cli.api.train import train
from backprop_cli.errors import ConfigError
from backprop_cli.run.checkpoint import load

BINS = [
    {"type": "piecewise_linear", "inputs": "numeric", "count": 4},
    {"type": "concat", "inputs": ["piecewise_linear_1", "categories"]},
    {"type": "dense", "units": 6, "activation": "tanh"},
    {"type": "dense", "units": 3},
]
TABLE = {
    "model": {"layers": BINS},
    "data": {"source": "shops.csv", "target": "kind", "split": {"test": 0}},
    "training": {"members": 4},
}


@pytest.fixture(autouse=True)
def _shops(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = ["size,city,sales,kind"]
    for row in range(80):
        size = rng.normal()
        lines.append(f"{size:.4f},{('Bern', 'Zug')[row % 2]},{rng.lognormal():.4f},{'abc'[int(size > 0) + row % 2]}")
    Path("shops.csv").write_text("\n".join(lines) + "\n")


def _config(**more):
    return write_config(Path("shops.yaml"), **merged(TABLE, more))


def _encoded(edges, x):
    """The encoding by its definition: columns side by side."""
    found = []
    for column, b in zip(x.T, edges, strict=True):
        e = (column[:, None] - b[:-1]) / np.diff(b)
        low, high = np.zeros(len(b) - 1), np.ones(len(b) - 1)
        low[0], high[-1] = -np.inf, np.inf
        found.append(np.clip(e, low, high))
    return np.concatenate(found, axis=1)


def _by_hand(tensors, numbers, codes):
    """Probabilities: the mean of those of four networks with weights of their own."""
    a = {name: array.astype(np.float64) for name, array in tensors.items()}
    x = np.concatenate([_encoded(a["piecewise_linear_1.edges"], numbers), codes], axis=1)
    found = []
    for i in range(4):
        h = np.tanh(a["dense_1.s"][i] * (x * a["dense_1.r"][i] @ a["dense_1.weight"].T) + a["dense_1.bias"][i])
        logits = h @ a["dense_2.weight"][i].T + a["dense_2.bias"][i]
        found.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    return np.mean(found, axis=0)


def test_predictions_are_those_of_separate_networks():
    run = train(_config()).run_dir
    checkpoint = load(run / "checkpoints" / "best.safetensors")
    predict(run, Path("shops.csv"), Path("out.npz"), proba=True)
    rows = np.genfromtxt("shops.csv", delimiter=",", skip_header=1, dtype=None, encoding=None)
    features = checkpoint.metadata["transform"]["features"]
    scaled = [(rows[f"f{place}"] - features[place]["shift"]) / features[place]["divisor"] for place in (0, 2)]
    codes = np.array([[city == "Bern", city == "Zug", False] for city in rows["f1"]], np.float64)
    expected = _by_hand(checkpoint.tensors, np.stack(scaled, axis=1), codes)
    np.testing.assert_allclose(np.load("out.npz")["probability"], expected, atol=1e-5)


def test_bins_are_those_of_the_train_split():
    run = train(_config(data={"split": {"validation": 0}, "transform": {"numeric": "none"}})).run_dir
    (edges, _) = load(run / "checkpoints" / "best.safetensors").tensors["piecewise_linear_1.edges"]
    sizes = np.genfromtxt("shops.csv", delimiter=",", skip_header=1, usecols=0)
    np.testing.assert_allclose(edges, np.quantile(sizes, [0, 0.25, 0.5, 0.75, 1]), rtol=1e-6)


@pytest.mark.parametrize("bins", ["quantile", "tree"])
def test_a_resumed_run_is_the_uninterrupted_one(bins):
    layers = [{**BINS[0], "bins": bins}, *BINS[1:]]
    whole, part = (train(_config(model={"layers": layers}, training={"epochs": n})).run_dir for n in (4, 2))
    train(None, resume=part, overrides=["training.epochs=4"])
    first, second = (load(run / "checkpoints" / "last.safetensors").tensors for run in (whole, part))
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_every_command_knows_columns_and_members():
    run = train(_config(gradient_check={"at_start": True})).run_dir
    layers = {layer.name: layer for layer in show(run).layers}
    assert [list(layer.output_shape) for layer in layers.values()] == [[8], [11], [4, 6], [4, 3]]
    assert list(layers["concat_1"].inputs) == ["piecewise_linear_1", "categories"]
    assert gradcheck(run).passed
    assert gradcheck(_config()).passed
    found = jacobian(run, Path("shops.csv"), rows=[2], of="predictions")
    assert found.arrays["jacobian"].shape == (3, 5)
    assert any(node.layer == "dense_2" for node in explain(run).nodes)
    assert bp("export", run, "--to", "c", "-o", "net.c") == 0


EMBEDDED = [
    {"type": "periodic", "inputs": "numeric", "frequencies": 3, "units": 2, "name": "waves"},
    {"type": "categorical_embedding", "inputs": "categories", "one_hot": 0, "width": 2, "name": "cities"},
    {"type": "concat", "inputs": ["waves", "cities"]},
    {"type": "dense", "units": 3},
]


def test_categories_are_looked_up_by_their_numbers():
    transform = {"categorical": "ordinal", "numeric": "none"}
    run = train(_config(model={"layers": EMBEDDED}, data={"transform": transform}, training={"members": None})).run_dir
    a = {
        name: array.astype(np.float64) for name, array in load(run / "checkpoints" / "best.safetensors").tensors.items()
    }
    rows = np.genfromtxt("shops.csv", delimiter=",", skip_header=1, dtype=None, encoding=None)
    waves = []
    for c, numbers in enumerate((rows["f0"], rows["f2"])):
        angle = 2 * np.pi * np.outer(numbers, a["waves.frequency"][c])
        waves.append(np.hstack([np.cos(angle), np.sin(angle)]) @ a["waves.weight"][c] + a["waves.bias"][c])
    cities = a["cities.weight"][(rows["f1"] == "Zug").astype(int)]
    logits = np.hstack([*waves, cities]) @ a["dense_1.weight"].T + a["dense_1.bias"]
    predict(run, Path("shops.csv"), Path("out.npz"), proba=True)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.load("out.npz")["probability"], expected, atol=1e-4)
    assert gradcheck(run).passed
    assert bp("export", run, "--to", "c", "-o", "net.c") == 0


def test_one_hot_inputs_are_not_looked_up():
    with pytest.raises(ConfigError, match=r"reads no codes of categories; set data.transform.categorical: ordinal"):
        train(_config(model={"layers": EMBEDDED}))


def test_a_network_without_data_may_have_members_but_no_columns(capsys):
    Path("shops.csv").unlink()
    layers = [{"type": "dense", "units": 2}, {"type": "dense", "units": 3}]
    assert show(_config(model={"input": [4], "layers": layers})).parameters == 8 + 16 + 8 + 8 + 24 + 12
    assert bp("show", _config(model={"input": [4]}), "--json") == 6
    assert "shops.csv: no such file" in json.loads(capsys.readouterr().out)["error"]["problems"][0]["message"]


@pytest.mark.parametrize(
    ("more", "place", "reason"),
    [
        (
            {"model": {"layers": [{"type": "flatten", "inputs": "numeric"}]}},
            "training.members",
            "the network has no dense layer to share among members",
        ),
        (
            {"model": {"layers": [{"type": "ensemble_dense", "units": 3, "members": 2}]}},
            "training.members",
            "the layers make an ensemble by themselves; leave it out, or use dense layers",
        ),
        (
            {"model": {"layers": [{**BINS[0], "inputs": "input.price"}, BINS[3]]}},
            "model.layers[0].inputs",
            "layer piecewise_linear_1: inputs: 'input.price': the data has no such column; did you mean 'input.size'?",
        ),
        (
            {"model": {"layers": [{**BINS[0], "activation": "relu"}, BINS[3]]}},
            "model.layers[0].activation",
            "'activation' goes with a map of the encoding; set units: 16",
        ),
    ],
)
def test_what_does_not_fit_is_refused(more, place, reason):
    with pytest.raises(ConfigError) as caught:
        train(_config(**more))
    problems = [str(problem).splitlines()[0] for problem in caught.value.problems]
    assert any(problem.endswith(f"{place}: {reason}") for problem in problems), problems
