"""Sequences of tokens from arrays: trained, evaluated, predicted, and what is said of those that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from api_support import bp, known_run, rows, run_of, write_config

from backprop_cli.api.eval import evaluate

POSITIONS, TOKENS = 3, 4
LAYERS = [{"type": "flatten"}, {"type": "dense", "units": 12}, {"type": "reshape", "shape": [POSITIONS, TOKENS]}]


def write_sequences(path="seq.npz", count=60, **more):
    """The token at a position is the largest of its inputs; a fifth of them is not said."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, POSITIONS, TOKENS))
    t = x.argmax(axis=-1)
    t[rng.random(t.shape) < 0.2] = -1
    arrays = {"inputs": x, "targets": t, **more}
    np.savez(path, **arrays)
    return arrays


def config(**more):
    metrics = ["perplexity", "bits_per_token", "accuracy", {"type": "top_k_accuracy", "k": 2}]
    path = write_config(Path("seq.yaml"), loss="next_token", metrics=metrics, **more)
    tree = yaml.safe_load(path.read_text())
    tree["data"] = {"source": "seq.npz", "target": "targets", **more.get("data", {})}
    tree["model"] = more.get("model", {"layers": LAYERS})
    tree["gradient_check"] = {}
    path.write_text(yaml.safe_dump(tree))
    return path


def said(capsys, *words, code=2):
    assert bp(*words) == code
    return capsys.readouterr().err


def test_tokens_of_arrays_are_learned_and_every_metric_is_over_positions():
    write_sequences()
    run, result = known_run(config(training={"epochs": 60}, optimizer={"type": "adam", "learning_rate": 0.05}), "run")
    assert result.metrics["test/accuracy"] > 0.6
    for split in ("train", "validation", "test"):
        loss = result.metrics[f"{split}/loss"]
        assert result.metrics[f"{split}/perplexity"] == pytest.approx(np.exp(loss), rel=1e-5)
        assert result.metrics[f"{split}/bits_per_token"] == pytest.approx(loss / np.log(2), rel=1e-5)
    found = evaluate(run, split="test")
    assert found.metrics == {
        name.removeprefix("test/"): value for name, value in result.metrics.items() if name.startswith("test/")
    }
    assert rows(run, "epoch")[0]["train/perplexity"] > rows(run, "epoch")[-1]["train/perplexity"]


def test_the_default_metrics_of_tokens():
    write_sequences()
    tree = yaml.safe_load(config().read_text())
    del tree["metrics"]
    Path("seq.yaml").write_text(yaml.safe_dump(tree))
    _, result = run_of(Path("seq.yaml"), "run")
    assert list(result.metrics)[:3] == ["train/loss", "train/perplexity", "train/accuracy"]


def test_predictions_of_tokens_are_the_most_probable_one_at_each_position(capsys):
    arrays = write_sequences()
    run, _ = known_run(config(training={"epochs": 60}, optimizer={"type": "adam", "learning_rate": 0.05}), "run")
    assert bp("predict", run, "seq.npz", "-o", "out.csv") == 0
    lines = Path("out.csv").read_text().splitlines()
    assert lines[0] == "prediction_0,prediction_1,prediction_2"
    predicted = np.array([line.split(",") for line in lines[1:]], int)
    counts = arrays["targets"] >= 0
    right = np.mean(predicted[counts] == arrays["targets"][counts])
    assert right == pytest.approx(evaluate(run, data=Path("seq.npz")).metrics["accuracy"], rel=1e-12)
    capsys.readouterr()
    assert said(capsys, "predict", run, "seq.npz", "--proba").splitlines()[-1] == (
        "--proba: next_token predicts a token for each position, not one class a row"
    )
    assert said(capsys, "eval", run, "--confusion").splitlines()[-1] == (
        "--confusion: next_token predicts tokens, which have no confusion matrix"
    )


def test_tokens_that_are_no_outputs_of_the_network(capsys):
    arrays = write_sequences()
    run, _ = run_of(config(), "run")
    arrays["targets"][7, 2] = 4
    np.savez("seq.npz", **arrays)
    text = (
        "seq.npz: array 'targets', row 7, column 2 (from 0): expected a token from 0 to 3, or -1 (ignored), got 4; "
        "give the network's last layer an output for each token"
    )
    capsys.readouterr()
    assert said(capsys, "train", "seq.yaml", code=6) == f"{text}\n"
    assert said(capsys, "eval", run, "--data", "seq.npz", code=6).splitlines()[-1] == text


def test_a_token_is_a_whole_number(capsys):
    arrays = write_sequences()
    broken = arrays["targets"].astype(float)
    broken[5, 1] = 0.5
    np.savez("seq.npz", inputs=arrays["inputs"], targets=broken)
    text = "seq.npz: array 'targets', row 5, column 1 (from 0): expected a token's number, got 0.5\n"
    assert said(capsys, "train", config(), code=6) == text


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        (
            LAYERS[:2],
            "seq.yaml:14:5: model.layers[0]: the network's output has the shape [12], but next_token needs "
            "[positions, tokens]: a row of numbers for each position of an example; layer flatten_1 turns [3, "
            "4] into [12]; leave it out, or use a layer that keeps positions\n"
            "   14 |   - type: flatten\n"
            "      |     ^^^^\n"
            "1 problem; nothing was run.\n",
        ),
        (
            [*LAYERS[:2], {"type": "reshape", "shape": [2, 6]}],
            "seq.yaml:17:5: model.layers[2]: the network has 2 positions an example, but the data has 3 labels; "
            "keep an output for each position, without pooling or flattening them\n"
            "   17 |   - shape:\n"
            "      |     ^^^^^\n"
            "1 problem; nothing was run.\n",
        ),
    ],
)
def test_networks_that_do_not_give_a_row_of_logits_a_position(capsys, layers, text):
    write_sequences()
    assert said(capsys, "validate", config(model={"layers": layers})) == text


def test_the_gradient_of_a_network_for_tokens_is_checked_with_weights(capsys):
    write_sequences(sure=np.linspace(0.5, 2.0, 60))
    run, _ = run_of(config(data={"sample_weight": "sure"}), "run")
    (event,) = rows(run, "gradient_checked")
    assert event["passed"]
    assert bp("gradcheck", run, "--json") == 0
    assert json.loads(capsys.readouterr().out)["passed"]
