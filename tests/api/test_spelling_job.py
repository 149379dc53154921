"""Numbers, classes and columns spelled in other ways, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from api_support import bp, run_of, write_config

LINEAR = {"model": {"layers": [{"type": "dense", "units": 1}]}, "loss": "mean_squared_error"}


def classifier(labels: list[str], name: str = "labels.csv", **keys) -> Path:
    """A configuration for 60 rows with these labels in turn."""
    cells = [labels[i % len(labels)] for i in range(60)]
    if name.endswith(".csv"):
        text = "x,k\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    else:
        text = "".join(f'{{"x": {i}, "k": {cell}}}\n' for i, cell in enumerate(cells))
    Path(name).write_text(text)
    model = {"layers": [{"type": "dense", "units": len(labels)}]}
    return write_config(data={"source": name, "target": "k"}, model=model, **keys)


def outcome(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    capsys.readouterr()
    assert bp(*words) == code
    printed = capsys.readouterr()
    return printed.out if code == 0 else printed.err


@pytest.mark.parametrize(
    ("labels", "listed"),
    [
        (["02116", "10001", "94110"], "10001, 94110, 02116"),
        (["1.1", "1.10", "2.0"], "1.1, 2.0, 1.10"),
        (["1E3", "1e3", "12"], "12, 1E3, 1e3"),
        (["2020", "2021"], "2020, 2021"),
        (["true", "false"], "false, true"),
    ],
)
def test_classes_are_spelled_as_in_the_file(capsys, labels: list[str], listed: str) -> None:
    config = classifier(labels)
    lines = outcome(capsys, "validate", config).splitlines()
    assert next(line.split(maxsplit=1)[1] for line in lines if line.startswith("classes")) == listed
    run = run_of(config, "run")[0]
    predicted = outcome(capsys, "predict", run, "labels.csv", "--proba").splitlines()
    assert predicted[0] == "prediction," + ",".join(f"probability_{name}" for name in listed.split(", "))
    assert {line.partition(",")[0] for line in predicted[1:]} <= set(labels)
    header = outcome(capsys, "eval", run, "--confusion").splitlines()
    assert next(line for line in header if line.startswith("true")).split()[3:] == listed.split(", ")


def test_booleans_of_json_are_spelled_as_json_does(capsys) -> None:
    run = run_of(classifier(["true", "false"], "labels.jsonl"), "run")[0]
    predicted = outcome(capsys, "predict", run, "labels.jsonl", "--proba").splitlines()
    assert predicted[0] == "prediction,probability_false,probability_true"
    assert {line.partition(",")[0] for line in predicted[1:]} <= {"true", "false"}
    same = json.loads(outcome(capsys, "eval", run, "--data", "labels.jsonl", "--json"))["metrics"]
    for spelling in ("true,false", "True,False"):
        classifier(spelling.split(","))
        assert json.loads(outcome(capsys, "eval", run, "--data", "labels.csv", "--json"))["metrics"] == same


def test_weights_by_the_classes_of_the_file(capsys) -> None:
    for labels, weights in ((["02116", "10001"], {"02116": 2}), (["true", "false"], {True: 2, False: 1})):
        assert bp("validate", classifier(labels, loss={"type": "cross_entropy", "class_weight": weights})) == 0


def test_the_spelling_of_numbers_goes_with_the_network(capsys) -> None:
    Path("price.csv").write_text("price,y\n" + "".join(f'"{1000 + 37 * i:,} kg",{i * 0.1:.1f}\n' for i in range(40)))
    config = write_config(**LINEAR, data={"source": "price.csv", "target": "y"}, metrics=["r2"])
    refused = (
        "price.csv:2: column 'price': expected a plain number, got '1,000 kg'; to read such numbers write "
        'data.numbers: {thousands: ",", strip: "kg"}, or data.numbers: {decimal: ",", strip: "kg"} if that is its '
        "mark; if they are names, write data.categories: [price]\n"
    )
    assert outcome(capsys, "train", config, "--quiet", code=6).endswith(refused)
    spelling = 'data.numbers={thousands: ",", strip: "kg"}'
    assert bp("train", config, spelling, "--run-dir", "run", "--quiet") == 0
    own = outcome(capsys, "predict", "run", "price.csv").splitlines()
    Path("plain.csv").write_text("price,y\n" + "".join(f"{1000 + 37 * i},{i * 0.1:.1f}\n" for i in range(40)))
    assert outcome(capsys, "predict", "run", "plain.csv").splitlines() == own
    assert json.loads(outcome(capsys, "eval", "run", "--data", "plain.csv", "--json"))["examples"] == 40
    assert bp("jacobian", "run", "price.csv", "--row", "2") == 0
    Path("other.csv").write_text('price\n"1000,5 kg"\n')
    assert outcome(capsys, "predict", "run", "other.csv", code=6).endswith(
        'other.csv:2: column \'price\': expected a number as data.numbers spells it, {thousands: ",", strip: "kg"}, '
        "got '1000,5 kg'; spell it as the training data does\n"
    )
    # The resolved configuration says the same.
    assert bp("train", "run/config.resolved.yaml", "--run-dir", "again", "--quiet") == 0
    assert outcome(capsys, "predict", "again", "price.csv").splitlines() == own


def test_settings_of_columns_survive_the_resolved_configuration(capsys) -> None:
    rows = "".join(f"{i},u{i},{i % 3},{'null' if i % 5 else '-'},{i * 0.5}\n" for i in range(40))
    Path("d.csv").write_text("x,id,store,flag,y\n" + rows)
    config = write_config(
        **LINEAR,
        data={
            "source": "d.csv",
            "target": "y",
            "exclude": ["id"],
            "categories": ["store"],
            "missing_values": ["", "-", "NaN", -999],
            "numbers": {"x": {"thousands": " ", "strip": "%'"}},
            "transform": {"missing": "most_frequent"},
        },
        metrics=["r2"],
    )
    assert bp("train", config, "--run-dir", "run", "--quiet") == 0
    assert bp("train", "run/config.resolved.yaml", "--run-dir", "again", "--quiet") == 0
    first, second = (outcome(capsys, "predict", run, "d.csv") for run in ("run", "again"))
    assert first == second
    shown = json.loads(outcome(capsys, "show", "run", "--json"))
    # x, three stores, the one flag that is not missing, the others of both, and the bias
    assert shown["parameters"] == 8
