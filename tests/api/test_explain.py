"""``bp explain``: what it finds out about a network, and what it refuses."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from api_support import WITH_DROPOUT, bp, run_of, write_config
from numeric_derivatives import central_difference

from backprop_cli import explain
from backprop_cli.accumulation.jacobians import MOST_BRACKETED

ROOT = Path(__file__).parents[2]


def explained(capsys, *words):
    assert bp("explain", *words, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_json_is_that_of_the_contract(capsys):
    found = explained(capsys, write_config())
    assert list(found) == ["nodes", "accumulation", "gradient", "memory", "chain_rule"]
    for node in found["nodes"]:
        assert list(node) == ["name", "op", "layer", "shape", "local_jacobian", "local_jacobians"]
        assert set(node["local_jacobian"]) == {"by", "shape", "structure", "nonzeros"}
        assert node["local_jacobian"] in node["local_jacobians"]
    named = {node["name"]: node for node in found["nodes"]}
    assert named["dense_1.matmul"]["local_jacobian"] == {
        "by": "input", "shape": [1, 6, 1, 2], "structure": "dense", "nonzeros": 12
    }  # fmt: skip
    assert named["dense_1.tanh"]["local_jacobian"]["structure"] == "diagonal"
    # 2 inputs, 6 tanh, 3 outputs: the tanh's diagonal into the smaller matrix, then one product.
    assert found["accumulation"] == {
        "of": "outputs by inputs",
        "forward": 6 * 2 + 3 * 6 * 2,
        "reverse": 3 * 6 + 3 * 6 * 2,
        "best": 6 * 2 + 3 * 6 * 2,
        "best_order": ["dense_1.add", "dense_1.tanh"],
        "proved_optimal": True,
        "method": "forward",
    }
    loss = 3 + 1 + 3 + 1  # exp, log, the product with the label, the mean; the maximum is a constant for derivatives
    by_bias = {1: 6 + 18 + loss, 2: loss}
    assert found["gradient"] == {
        "forward": 12 * (12 + by_bias[1]) + 6 * by_bias[1] + 18 * (18 + by_bias[2]) + 3 * by_bias[2],
        "reverse": 12 + 6 + 2 * 18 + loss,
    }


def test_the_chain_rule_of_a_network_without_skips(capsys):
    rule = explained(capsys, write_config())["chain_rule"]
    assert [(v["symbol"], v["expression"]) for v in rule["variables"]] == [
        ("z1", "x @ W1.T + b1"), ("a1", "tanh(z1)"), ("z2", "a1 @ W2.T + b2"), ("L", "cross_entropy(z2, y)"),
    ]  # fmt: skip
    assert {p["symbol"]: p["of"] for p in rule["parameters"]} == {
        "W1": "dense_1.weight", "b1": "dense_1.bias", "W2": "dense_2.weight", "b2": "dense_2.bias",
    }  # fmt: skip
    derivatives = {d["by"]: d["terms"] for d in rule["derivatives"]}
    assert list(derivatives) == ["W2", "b2", "W1", "b1"]
    (product,) = derivatives["W1"]
    assert [(f["of"], f["by"], f["shape"], f["structure"]) for f in product] == [
        ("L", "z2", [1, 3], "dense"),
        ("z2", "a1", [3, 6], "dense"),
        ("a1", "z1", [6, 6], "diagonal"),
        ("z1", "W1", [6, 12], "block diagonal"),
    ]
    assert rule["bracketing"] == "dz2/da1 · (da1/dz1 · dz1/dx)"


def test_where_arrows_join_derivatives_are_sums():
    rule = explain(ROOT / "configs" / "skip.yaml", ["model.input=[64]"]).chain_rule
    terms = {d.by: d.terms for d in rule.derivatives}
    assert [[(f.of, f.by) for f in term] for term in terms["a1"]] == [
        [("L", "a2"), ("a2", "z2"), ("z2", "a1")],
        [("L", "a4"), ("a4", "a1")],
    ]
    assert rule.bracketing is None


def product_of(derivative, known):
    total = 0.0
    for term in derivative.terms:
        product = np.eye(1)
        for factor in term:
            product = product @ known[factor.of, factor.by]
        total = total + product
    return total


def test_the_factors_multiply_to_the_gradient():
    """The walk's numbers through the formula: dL/dW1 from dL/dz2, W2, tanh' and x."""
    write_config()
    found = explain("flowers.yaml", numbers=True)
    forward = {entry.symbol: np.array(entry.value) for entry in found.numbers.forward}
    backward = {entry.symbol: np.array(entry.value) for entry in found.numbers.backward}
    known = {
        ("L", "z2"): backward["dL/dz2"],
        ("z2", "a1"): forward["W2"],
        ("a1", "z1"): np.diag(1.0 - forward["a1"][0] ** 2),
        ("z1", "W1"): np.kron(np.eye(6), forward["x"]),
        ("z1", "b1"): np.eye(6),
        ("z2", "W2"): np.kron(np.eye(3), forward["a1"]),
        ("z2", "b2"): np.eye(3),
    }
    for derivative in found.chain_rule.derivatives:
        wanted = backward[f"dL/d{derivative.by}"].reshape(1, -1)
        np.testing.assert_allclose(product_of(derivative, known), wanted, rtol=1e-12, atol=1e-12)
        shapes = [f.shape for term in derivative.terms for f in term]
        assert shapes == [known[f.of, f.by].shape for term in derivative.terms for f in term]


def test_the_walk_is_the_first_training_example_at_the_networks_weights():
    config = write_config()
    start = {e.symbol: np.array(e.value) for e in explain(config, numbers=True).numbers.forward}
    run, _ = run_of(config, "runs/flowers/one")
    found = explain(run, numbers=True).numbers
    trained = {e.symbol: np.array(e.value) for e in found.forward}
    np.testing.assert_array_equal(trained["x"], start["x"])
    assert not np.array_equal(trained["W1"], start["W1"])
    logits = np.tanh(trained["x"] @ trained["W1"].T + trained["b1"]) @ trained["W2"].T + trained["b2"]
    np.testing.assert_allclose(trained["z2"], logits, rtol=1e-12)
    label = int(trained["y"][0])

    def loss(z):
        return float(np.log(np.exp(z).sum()) - z[label])

    assert trained["L"] == pytest.approx(loss(logits[0]))
    back = {e.symbol: np.array(e.value) for e in found.backward}
    direction = np.array([0.3, -0.2, 0.5])
    slope = central_difference(lambda h: loss(logits[0] + h * direction), 0.0)
    assert float(back["dL/dz2"][0] @ direction) == pytest.approx(slope, rel=1e-7)


def test_shapes_in_the_configuration_need_no_data():
    config = write_config(model={"input": [2]}, data={"source": "nowhere.csv"})
    assert explain(config).gradient == explain(write_config()).gradient


def test_memory_is_that_of_training(capsys):
    """Dropout's mask counts, in the training precision and batch; the network is explained as it predicts."""
    layers = [*WITH_DROPOUT[:2], *[{"type": "dense", "units": 6, "activation": "tanh"}] * 14, WITH_DROPOUT[2]]
    found = explained(capsys, write_config(model={"layers": layers}))
    memory = found["memory"]
    assert memory["batch"] == 12
    kept = {entry["layer"]: entry["bytes"] for entry in memory["layers"]}
    assert kept["dense_1"] == kept["dense_9"] == 12 * 6 * 4
    assert kept["dropout_1"] > 0
    assert memory["kept"] == sum(kept.values())
    assert memory["recompute"]["segments"] > 1
    assert memory["recompute"]["bytes"] < memory["kept"]
    assert not any("dropout" in node["name"] for node in found["nodes"])


def test_the_autoencoder_gains_elevenfold():
    """784-256-64-16-64-256-784; its data is not needed."""
    found = explain(ROOT / "configs" / "autoencoder.yaml").accumulation
    assert found.forward == found.reverse == 185_161_984
    assert (found.best, found.proved_optimal, found.method) == (16_792_576, True, "bracketing")


def test_diagrams_go_to_a_file_or_standard_output(capsys):
    config = write_config()
    assert bp("explain", config, "--dot", "graph.dot") == 0
    captured = capsys.readouterr()
    assert captured.err == "graph graph.dot\n"
    assert captured.out.startswith("the network, for one example\n")
    text = Path("graph.dot").read_text()
    assert text.startswith("digraph network {\n")
    assert bp("explain", config, "--mermaid") == 0
    assert capsys.readouterr().out.startswith("flowchart BT\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mermaid", "--json"], "explain: --mermaid and --json both print to standard output; choose one"),
        (["--mermaid", "--dot", "-"], "explain: --dot - prints to standard output alone; name a file"),
        (
            ["--numbers", "model.layers.0.units=1000"],
            "explain --numbers: 6,003 parameters are too many to show; the limit is 2,000",
        ),
        (["--dot", "no/folder.dot"], "no/folder.dot: cannot be written: No such file or directory"),
    ],
)
def test_what_is_refused(words, message, capsys):
    assert bp("explain", write_config(), *words) == 2
    assert capsys.readouterr().err == f"{message}\n"


def test_no_search_beyond_the_limit_is_said(capsys, monkeypatch):
    config = write_config()
    assert "limit" not in explained(capsys, config)["accumulation"]
    monkeypatch.setattr("backprop_cli.accumulation.jacobians.MOST_BRACKETED", 1)
    found = explained(capsys, config)["accumulation"]
    assert (found["limit"], found["method"], found["proved_optimal"]) == (1, "forward", False)
    assert bp("explain", config) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "forward, not proved optimal" in text
    assert "best order: forward. No other order was tried: the network has more than 1 intermediate values." in text


def layers(count):
    return "model.layers=" + json.dumps([{"type": "dense", "units": 4}] * (count - 1) + [{"type": "dense", "units": 3}])


def test_a_long_product_is_not_written_down(capsys):
    assert explained(capsys, write_config(), layers(40))["chain_rule"]["bracketing"].count("·") == 39
    found = explained(capsys, write_config(), layers(60))
    assert found["chain_rule"]["bracketing"] is None
    assert len(found["accumulation"]["best_order"]) == 59
    assert bp("explain", write_config(), layers(60)) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "dense_20.add, ... (19 more: --json has them all) ..., dense_40.add" in text


@pytest.mark.slow
def test_a_network_deeper_than_the_stack(capsys):
    """Without biases each matrix is multiplied with a result of a matrix alone."""
    plain = [{"type": "dense", "units": 3, "bias": False}] * 1200
    found = explained(capsys, write_config(), f"model.layers={json.dumps(plain)}")
    assert found["accumulation"]["limit"] == MOST_BRACKETED


@pytest.mark.parametrize("kind", ["chain", pytest.param("residual", marks=pytest.mark.slow)])
def test_the_work_grows_with_the_length_of_a_network(kind, capsys, monkeypatch):
    """Calls of functions, which do not depend on how busy the processor is."""
    monkeypatch.setattr("backprop_cli.accumulation.jacobians.MOST_BRACKETED", 20)
    monkeypatch.setattr("backprop_cli.accumulation.jacobians.MOST_SEARCHED", 20)
    block = {"type": "block", "residual": True, "layers": [{"type": "dense", "units": 2, "activation": "tanh"}]}

    def calls(repeat: int) -> int:
        count = 0

        def called(frame, event, argument) -> None:
            nonlocal count
            count += event == "call"

        repeated = {**block, "repeat": repeat} if kind == "residual" else layers(repeat)
        words = (
            [repeated] if kind == "chain" else [f"model.layers={json.dumps([repeated, {'type': 'dense', 'units': 3}])}"]
        )
        config = write_config()
        sys.setprofile(called)
        try:
            assert bp("explain", config, *words, "--json") == 0
        finally:
            sys.setprofile(None)
        capsys.readouterr()
        return count

    calls(30)  # fills the caches
    assert calls(120) < 4.4 * calls(30)
