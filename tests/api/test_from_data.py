"""Numbers of a configuration that the data decides: auto."""

from pathlib import Path

import pytest
import yaml
from api_support import bp, write_flowers

TABLE = """\
data: {source: flowers.csv, target: kind}
model:
  layers:
    - {type: dense, units: 6, activation: relu}
    - {type: dense, units: auto}
    - {type: dropout, rate: 0.1}
loss: cross_entropy
training: {epochs: auto, max_steps: 3}
"""
TEXT = """\
data: {source: t.txt, text: {context: 4}}
model:
  layers:
    - {type: embedding, tokens: auto, width: 3}
    - {type: dense, units: auto}
loss: next_token
training: {epochs: 1}
"""


def resolved(run):
    return yaml.safe_load((Path(run) / "config.resolved.yaml").read_text())


@pytest.fixture(autouse=True)
def _files():
    write_flowers(Path("flowers.csv"))
    Path("t.txt").write_text("abcabcabdabcab\n" * 9)


def test_the_run_has_the_numbers_and_resumes():
    Path("c.yaml").write_text(TABLE)
    assert bp("train", "c.yaml", "--quiet", "--run-dir", "run") == 0
    found = resolved("run")
    assert found["model"]["layers"][1]["units"] == 3
    assert found["training"]["epochs"] == 200
    assert bp("eval", "run") == 0
    assert bp("train", "--resume", "run", "training.max_steps=5", "--quiet") == 0


@pytest.mark.parametrize(
    ("rest", "width"),
    [
        ("loss: mean_squared_error", 1),
        ("loss: {type: quantile, quantile: [0.1, 0.5, 0.9]}", 3),
    ],
)
def test_the_width_that_the_loss_needs(rest, width):
    Path("c.yaml").write_text(TABLE.replace("target: kind", "target: x").replace("loss: cross_entropy", rest))
    assert bp("train", "c.yaml", "--quiet", "--run-dir", "run") == 0
    assert resolved("run")["model"]["layers"][1]["units"] == width


def test_an_autoencoder_has_as_many_outputs_as_inputs():
    rest = TABLE.replace("target: kind", "target: features, exclude: kind")
    Path("c.yaml").write_text(rest.replace("cross_entropy", "mean_squared_error"))
    assert bp("validate", "c.yaml") == 0


def test_the_tokens_of_a_text_and_of_columns():
    Path("c.yaml").write_text(TEXT)
    assert bp("train", "c.yaml", "--quiet", "--run-dir", "run") == 0
    first, last = resolved("run")["model"]["layers"]
    assert (first["tokens"], last["units"]) == (5, 5)
    Path("n.csv").write_text("a,y\n" + "".join(f"{k % 7},{k % 2}\n" for k in range(40)))
    Path("n.yaml").write_text(
        TEXT.replace("t.txt, text: {context: 4}", "n.csv, target: y, transform: {numeric: none}")
        .replace("{type: dense", "{type: flatten}\n    - {type: dense")
        .replace("next_token", "binary_cross_entropy")
    )
    assert bp("train", "n.yaml", "--quiet", "--run-dir", "numbers") == 0
    assert resolved("numbers")["model"]["layers"][0]["tokens"] == 7


@pytest.mark.parametrize("command", ["show", "explain", "gradcheck"])
def test_commands_that_need_no_data_read_it(command):
    Path("c.yaml").write_text(TABLE.replace("model:", "model:\n  input: [2]"))
    assert bp(command, "c.yaml") == 0


def test_auto_in_an_inner_layer(capsys):
    Path("c.yaml").write_text(TABLE.replace("units: 6", "units: auto"))
    assert bp("validate", "c.yaml") == 2
    assert capsys.readouterr().err == (
        "c.yaml:4:28: model.layers[0].units: auto goes with the layer that makes the network's outputs; write a "
        "number, such as units: 64\n"
        "    4 |     - {type: dense, units: auto, activation: relu}\n"
        "      |                            ^^^^\n"
        "1 problem; nothing was run.\n"
    )
