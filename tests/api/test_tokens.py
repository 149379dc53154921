"""Networks that read tokens: integers from the file to the embedding, in every command."""

import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, known_run, run_of, write_config

from backprop_cli.session.trained_network import open_network

LAYERS = [
    {"type": "embedding", "tokens": 7, "width": 3},
    "flatten",
    {"type": "dense", "units": 8, "activation": "tanh"},
    {"type": "dense", "units": 2},
]


def write_words(rows=80, tokens=7):
    """Three tokens a row; the class is whether the first one is even and the second one greater than the third."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, tokens, (rows, 3))
    classes = (words[:, 0] % 2 == 0) & (words[:, 1] > words[:, 2])
    lines = [f"{a},{b},{c},{'yes' if yes else 'no'}" for (a, b, c), yes in zip(words, classes, strict=True)]
    Path("words.csv").write_text("\n".join(["a,b,c,class", *lines]) + "\n")


def write(**more):
    write_words()
    data = {"source": "words.csv", "target": "class", "transform": {"numeric": "none"}}
    return write_config(Path("words.yaml"), **{"data": data, "model": {"layers": LAYERS}} | more)


@pytest.fixture
def run():
    found, _ = known_run(write(training={"epochs": 60}, gradient_check={"at_start": True}), "run")
    return found


def said(capsys, code, *words):
    assert bp(*words) == code
    return capsys.readouterr().err


def test_it_learns_what_numbers_do_not_say(run, capsys):
    assert bp("eval", run, "--split", "train", "--require", "accuracy>=0.95", "--json") == 0
    saved = open_network(run / "checkpoints" / "best.safetensors")
    assert str(saved.recipe.model.input_dtype) == "int64"
    assert saved.transform.tokens == 7
    assert bp("predict", run, "words.csv", "-o", "out.csv") == 0
    assert len(Path("out.csv").read_text().splitlines()) == 81
    assert bp("gradcheck", run) == 0
    assert bp("gradcheck", "words.yaml", "--order", 2) == 0
    assert bp("show", run) == 0
    capsys.readouterr()


def test_every_input_is_the_embedding_of_its_token(run):
    saved = open_network(run / "checkpoints" / "best.safetensors")
    own = {name: array.astype(float) for name, array in saved.recipe.layout.arrays(saved.vectors["parameters"]).items()}
    words = np.array([[0, 6, 2], [3, 3, 3]])
    x = own["embedding_1.weight"][words].reshape(2, 9)
    hidden = np.tanh(x @ own["dense_1.weight"].T + own["dense_1.bias"])
    logits = hidden @ own["dense_2.weight"].T + own["dense_2.bias"]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    (found,) = saved.evaluator().predict([words])
    np.testing.assert_allclose(found, probs, rtol=1e-5)


def test_tokens_have_no_derivative(run, capsys):
    message = "--by inputs: the network reads tokens, which have no derivative; use --by embedding_1\n"
    assert said(capsys, 2, "jacobian", run).endswith(message)
    assert bp("jacobian", run, "--by", "embedding_1", "--json") == 0
    assert np.shape(json.loads(capsys.readouterr().out)["values"]) == (2, 3, 3)
    assert bp("explain", run, "--json") == 0
    found = json.loads(capsys.readouterr().out)["accumulation"]
    assert (found["of"], found["reverse"]) == ("outputs by embedding_1", 2 * 8 + 2 * 8 * 9)
    assert bp("explain", run, "--numbers") == 0


@pytest.mark.parametrize(
    ("line", "numeric", "message"),
    [
        ("1,7,2,no", "none", "column 'b': 7 is not a token of the network, which has 0 to 6; set tokens of the "
         "embedding to 8 or more"),
        ("1,-1,2,no", "none", "column 'b': -1 is not a token of the network, which has 0 to 6; correct it, or leave "
         "the column out with data.features"),
        ("1,2,2.5,no", "none", "column 'c': 2.5 is not a token of the network, which has 0 to 6; correct it, or leave "
         "the column out with data.features"),
        ("9,0,0,no", {"scale": 0.5}, "column 'a': 9, scaled to 4.5, is not a token of the network, which has 0 to 6; "
         "correct it, or leave the column out with data.features"),
    ],
)  # fmt: skip
def test_a_value_that_is_no_token(line, numeric, message, capsys):
    transform = {"source": "words.csv", "target": "class", "transform": {"numeric": numeric}, "split": "none"}
    config = write(data=transform)
    with Path("words.csv").open("w") as file:
        file.write(f"a,b,c,class\n0,2,2,yes\n{line}\n")
    found = said(capsys, 6, "train", config, "--run-dir", "run")
    assert found.endswith(f"words.csv:3: {message}\n")


def test_numbers_that_were_scaled(capsys):
    config = write(data={"source": "words.csv", "target": "class", "split": "none"})
    column = np.array([float(line.split(",")[0]) for line in Path("words.csv").read_text().splitlines()[1:]])
    scaled = (column[0] - column.mean()) / column.std()
    assert said(capsys, 6, "train", config, "--run-dir", "run").endswith(
        f"words.csv:2: column 'a': {column[0]:g}, scaled to {scaled:.6g}, is not a token of the network, which has 0 "
        "to 6; set data.transform.numeric: none\n"
    )


def test_eval_and_predict_refuse_it_too(run, capsys):
    Path("more.csv").write_text("a,b,c,class\n1,2,7,no\n")
    message = (
        "more.csv:2: column 'c': 7 is not a token of the network, which has 0 to 6; set tokens of the embedding to 8 "
        "or more\n"
    )
    assert said(capsys, 6, "eval", run, "--data", "more.csv").endswith(message)
    assert said(capsys, 6, "predict", run, "more.csv").endswith(message)


def test_categories_are_tokens_by_their_number():
    write_words()
    config = write(
        data={"source": "kinds.csv", "target": "class", "transform": {"categorical": "ordinal"}, "split": "none"}
    )
    Path("kinds.csv").write_text("a,b,class\nred,blue,yes\nblue,green,no\ngreen,red,yes\nred,red,no\n")
    layers = [{"type": "embedding", "tokens": 3, "width": 3}, *LAYERS[1:]]
    run, _ = run_of(config, "run", [f"model.layers={json.dumps(layers)}"])
    saved = open_network(run / "checkpoints" / "last.safetensors")
    assert saved.transform.tokens == 3


def test_the_chain_rule_where_a_dense_layer_is_only_added_to(capsys):
    layers = [
        {"type": "embedding", "tokens": 7, "width": 4},
        {"type": "block", "residual": True, "layers": ["layer_norm", {"type": "dense", "units": 4}]},
        "flatten",
        {"type": "dense", "units": 2},
    ]
    config = write(model={"layers": layers})
    assert bp("explain", config, "--json") == 0
    rule = json.loads(capsys.readouterr().out)["chain_rule"]
    weights = {parameter["of"]: parameter["symbol"] for parameter in rule["parameters"]}
    assert weights["block_1.1.dense_1.weight"] == "W3"
    expressions = {v["of"]: v["expression"] for v in rule["variables"]}
    assert "W3" in expressions["block_1.1.dense_1"]
    assert expressions["block_1.1"] == "z3 + z1"
    assert {d["by"] for d in rule["derivatives"]} >= set(weights.values())
    assert bp("explain", config, "--numbers") == 0
