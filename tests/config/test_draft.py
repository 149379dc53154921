"""A first configuration for a table, from looking at its columns."""

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

from backprop_cli.api.show import show
from backprop_cli.api.validate import validate
from backprop_cli.config.draft import draft
from backprop_cli.config.presets import PRESETS, batch_size
from backprop_cli.config.table_facts import TARGETS, Facts, facts_of
from backprop_cli.data.file import DataFile
from backprop_cli.data.read import read_table
from backprop_cli.errors import UsageError

RNG = np.random.default_rng(0)
ROWS = 60
NUMBER = [f"{value:.4f}" for value in RNG.standard_normal(ROWS)]
KINDS = {
    "number": NUMBER,
    "text3": ["abc"[k % 3] for k in range(ROWS)],
    "text2": ["no" if k % 2 else "yes" for k in range(ROWS)],
    "bit": [k % 2 for k in range(ROWS)],
    "one_two": [1 + k % 2 for k in range(ROWS)],
    "grade": [3 + k % 5 for k in range(ROWS)],
    "count": [7 * k % 31 for k in range(ROWS)],
    "half": [f"h{k % 24}" for k in range(ROWS)],
    "id": range(1, ROWS + 1),
    "code": [f"x{k}" for k in range(ROWS)],
    "date": [f"2024-{1 + k // 28:02}-{1 + k % 28:02}" for k in range(ROWS)],
    "gaps": ["" if k % 7 == 0 else value for k, value in enumerate(NUMBER)],
    "holes": ["" if k % 5 == 0 else "pq"[k % 2] for k in range(ROWS)],
    "empty": [""] * ROWS,
    "extreme": [(1e308, -1e308)[k % 2] for k in range(ROWS)],
    "same": [4] * ROWS,
    "features": NUMBER,
    "a: b #c": NUMBER,
    "two\nlines": NUMBER,
    "quote'\"": NUMBER,
    "line\u2028separator": NUMBER,
    "next\x85line": NUMBER,
    "hidden\ufeff\u202e\U000e0041": NUMBER,
    "007": NUMBER,
    "null": NUMBER,
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Drafted(NamedTuple):
    text: str
    facts: Facts

    @property
    def tree(self):
        return yaml.safe_load(self.text)


def drafted(*columns, preset="plain", **options):
    """The draft for a table of these columns."""
    with Path("t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(KINDS[name] for name in columns), strict=True))
    facts = facts_of(read_table(DataFile(Path("t.csv"))), **options)
    text = draft(facts, "t.csv", preset)
    Path("t.yaml").write_text(text)
    return Drafted(text, facts)


@pytest.mark.parametrize(
    ("target", "task", "outputs", "loss"),
    [
        ("number", "regression", 1, "mean_squared_error"),
        ("text3", "classes", 3, "cross_entropy"),
        ("text2", "binary", 1, "binary_cross_entropy"),
        ("bit", "binary", 1, "binary_cross_entropy"),
        ("one_two", "classes", 2, "cross_entropy"),
        ("grade", "classes", 5, "cross_entropy"),
        ("count", "regression", 1, "mean_squared_error"),
    ],
)
def test_the_task_follows_from_the_values(target, task, outputs, loss):
    found = drafted("number" if target != "number" else "grade", "gaps", target)
    assert (found.facts.target.name, found.facts.task) == (target, task)
    assert (found.tree["loss"], found.tree["model"]["layers"][-1]["units"]) == (loss, "auto")
    assert found.tree["data"]["target"] == target
    result = validate("t.yaml")
    assert (result.warnings, show("t.yaml").layers[-1].output_shape) == ([], (outputs,))


@pytest.mark.parametrize(("target", "task"), [("grade", "regression"), ("bit", "classes"), ("text2", "classes")])
def test_the_task_can_be_set(target, task):
    found = drafted("number", target, task=task)
    assert found.tree["loss"] == {"regression": "mean_squared_error", "classes": "cross_entropy"}[task]
    assert validate("t.yaml").valid


def test_classes_are_too_many_for_the_train_split():
    """Not for the table: 24 of 60 rows, and of 42 to train on."""
    message = (
        "t.csv: column 'half' has 24 different values in 60 rows, too many for classes; --target names another column"
    )
    with pytest.raises(UsageError) as caught:
        drafted("number", "half")
    assert str(caught.value) == message


def test_the_whole_text():
    assert drafted("id", "date", "gaps", "holes", "text2", "number", preset="strong").text == (
        "# Predicts 'number' (a number) from 4 columns of 60 rows: 'date', 'gaps', 'holes', 'text2'.\n"
        "# Add columns that a new row will not have to data.exclude.\n"
        "data:\n"
        "  source: t.csv\n"
        "  target: number  # the last column\n"
        "  # 'id' counts the rows\n"
        "  exclude: [id]\n"
        "  transform: {missing: indicator}  # 2 columns with missing values\n"
        "\n"
        "# Preset strong: the numbers in bins, then an ensemble of 16 networks that share most weights.\n"
        "# bp init --preset writes plain, realmlp or tabm.\n"
        "model:\n"
        "  layers:\n"
        "    - {type: piecewise_linear, name: numbers, inputs: numeric, count: 2, units: 12, activation: relu}\n"
        "    - {type: concat, inputs: [numbers, input]}\n"
        "    - {type: dense, units: 256, activation: relu, initializer: he_normal}\n"
        "    - {type: dropout, rate: 0.1}\n"
        "    - {type: dense, units: 256, activation: relu, initializer: he_normal}\n"
        "    - {type: dropout, rate: 0.1}\n"
        "    - {type: dense, units: auto}  # one output, without activation: a number\n"
        "\n"
        "loss: mean_squared_error\n"
        "optimizer: {type: adamw, learning_rate: 2e-3, weight_decay: 0.01}\n"
        "metrics: [root_mean_squared_error, mean_absolute_error, r2]\n"
        "training: {epochs: auto, batch_size: 32, clip_norm: 1.0, members: 16}\n"
        "early_stopping: {patience: 16}  # epochs without a better validation/loss\n"
        "gradient_check: {samples: 8}\n"
    )


def test_the_output_of_two_names_is_explained():
    assert "# one output: whether 'text2' is 'yes'\n" in drafted("number", "text2").text


@pytest.mark.parametrize("name", [*KINDS][[*KINDS].index("features") :])
@pytest.mark.parametrize("is_target", [True, False], ids=["target", "excluded"])
def test_every_name_of_a_column_is_quoted_if_it_must_be(name, is_target, monkeypatch):
    if is_target:
        drafted("grade", name)
    else:
        monkeypatch.setitem(KINDS, name, KINDS["id"])
        drafted(name, "grade", "number")
    assert validate("t.yaml").input_shape == (1,)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ("number id", {"target": "id"}, "t.csv: column 'id' counts the rows; name the column to predict with --target"),
        (
            "number code",
            {"target": "code"},
            "t.csv: column 'code' is an identifier or free text, with 60 different texts in 60 rows; name the column "
            "to predict with --target",
        ),
        (
            "number empty",
            {"target": "empty"},
            "t.csv: column 'empty' is empty; name the column to predict with --target",
        ),
        (
            "number same",
            {"target": "same"},
            "t.csv: column 'same' is 4 in every row; name the column to predict with --target",
        ),
        ("number grade", {"target": "grad"}, "--target: t.csv: no column 'grad'; did you mean 'grade'?"),
        (
            "number grade",
            {"task": "ranking"},
            "--task: unknown task 'ranking'; known: classes, binary, regression",
        ),
        ("number grade", {"task": "clases"}, "--task: unknown task 'clases'; did you mean 'classes'?"),
        ("number grade", {"preset": "strng"}, "--preset: unknown preset 'strng'; did you mean 'strong'?"),
        ("number grade", {"preset": "xyz"}, "--preset: unknown preset 'xyz'; known: plain, strong, realmlp, tabm"),
        (
            "number text3",
            {"task": "regression"},
            "t.csv: column 'text3' has texts, such as 'a', and --task regression predicts a number",
        ),
        (
            "number text3",
            {"task": "binary"},
            "t.csv: column 'text3': --task binary predicts 0 and 1, or two names; its values are 'a', 'b', 'c'",
        ),
        (
            "number one_two",
            {"task": "binary"},
            "t.csv: column 'one_two': --task binary predicts 0 and 1, or two names; its values are 1, 2",
        ),
        (
            "grade number",
            {"task": "classes"},
            "t.csv: column 'number' has 60 different values in 60 rows, too many for classes; --task regression "
            "predicts a number, --target names another column",
        ),
        (
            "id same number",
            {},
            "t.csv: no column is left to predict 'number' from; 'id' counts the rows; 'same' is 4 in every row",
        ),
        ("number", {}, "t.csv: no column is left to predict 'number' from"),
    ],
)
def test_refusals(columns, options, message):
    with pytest.raises(UsageError) as caught:
        drafted(*columns.split(), **options)
    assert str(caught.value) == message


def test_rows_without_a_target_are_dropped():
    found = drafted("number", "gaps", target="gaps")
    assert (found.facts.rows, found.facts.without_target) == (51, 9)
    assert "  missing_target: drop  # 9 rows without a target\n" in found.text
    assert validate("t.yaml").valid


@pytest.mark.parametrize(
    ("columns", "target", "reason"),
    [
        ("number grade", "grade", "the last column"),
        ("number grade id", "grade", "the last column that can be predicted"),
        ("number grade same", "grade", "the last column that can be predicted"),
        ("text3 Sale_Price grade", "Sale_Price", "by its name"),
        ("LABEL price number", "LABEL", "by its name"),
        ("y number", "y", "by its name"),
        ("x y z", "z", "the last column"),
        ("number TARGET grade", "TARGET", "by its name"),
    ],
)
def test_the_target_is_guessed(columns, target, reason, monkeypatch):
    for name in columns.split():
        monkeypatch.setitem(KINDS, name, KINDS.get(name, NUMBER))
    assert drafted(*columns.split()).facts.target == (target, reason)


def test_usual_names_are_written_plainly():
    assert all(name == re.sub(r"[\W_]", "", name).lower() for name in TARGETS)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("id", "is an identifier, with 60 different numbers in 60 rows"),
        ("customer_id", "is an identifier, with 60 different numbers in 60 rows"),
        ("PatientID", "is an identifier, with 60 different numbers in 60 rows"),
        ("paid", None),
        ("number", None),
    ],
)
def test_numbers_that_are_identifiers(name, reason, monkeypatch):
    monkeypatch.setitem(KINDS, name, [7919 * k % 6121 for k in range(ROWS)])
    assert drafted(name, "half", "grade").facts.useless.get(name) == reason


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("store_id", range(4), ["store_id"]),
        ("ZIP", [10115, 20095, 80331], ["ZIP"]),
        ("code", [0.5, 1, 2], None),
        ("code", [0, 1], None),
        ("zip", range(30), None),
        ("store", range(4), None),
    ],
)
def test_numbers_that_are_names(name, values, expected, monkeypatch):
    monkeypatch.setitem(KINDS, name, [values[k % len(values)] for k in range(ROWS)])
    assert drafted(name, "half", "number").tree["data"].get("categories") == expected
    assert validate("t.yaml").valid


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("columns", ["number gaps date text3 grade", "text3 holes text2", "number bit count"])
def test_presets_suit_all_kinds_of_columns(preset, columns):
    found = drafted(*columns.split(), preset=preset)
    assert found.tree["gradient_check"] == ({} if preset == "plain" else {"samples": 8})
    assert validate("t.yaml").warnings == []


@pytest.mark.parametrize("preset", ["strong", "tabm"])
def test_a_table_without_numbers_has_no_bins(preset):
    text = drafted("text3", "half", "grade", preset=preset).text
    assert "bins" not in text
    assert "piecewise_linear" not in text


@pytest.mark.parametrize(("train", "size"), [(999, 32), (1000, 64), (3000, 128), (10_000, 256)])
def test_batches_grow_with_the_rows(train, size):
    assert batch_size(train) == size


def test_many_columns_of_numbers_have_narrow_encodings(monkeypatch):
    for k in range(600):
        monkeypatch.setitem(KINDS, f"x{k}", [k + each**2 for each in range(ROWS)])
    found = drafted(*(f"x{k}" for k in range(600)), "grade", preset="strong")
    assert found.tree["model"]["layers"][0]["units"] == 5


def test_differences_too_large_for_a_float():
    assert "exclude:" not in drafted("extreme", "number").text
