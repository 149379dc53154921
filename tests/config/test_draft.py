"""A first configuration for a table, from looking at its columns."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

from backprop_cli.api.validate import validate
from backprop_cli.config.draft import draft
from backprop_cli.data.file import DataFile
from backprop_cli.data.read import read_table
from backprop_cli.errors import DataError, UsageError

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


def drafted(*columns, **options):
    """The tree of the draft for a table of these columns."""
    with Path("t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(KINDS[name] for name in columns), strict=True))
    found = draft(read_table(DataFile(Path("t.csv"))), "t.csv", **options)
    Path("t.yaml").write_text(found.text)
    return found


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
    tree = yaml.safe_load(found.text)
    assert (found.target, found.task) == (target, task)
    assert (tree["loss"], tree["model"]["layers"][-1]["units"]) == (loss, outputs)
    assert tree["data"]["target"] == target
    assert validate("t.yaml").warnings == []


@pytest.mark.parametrize(
    ("target", "task", "outputs"),
    [("grade", "regression", 1), ("count", "classes", 31), ("bit", "classes", 2), ("text2", "classes", 2)],
)
def test_the_task_can_be_set(target, task, outputs):
    if target == "count":
        with pytest.raises(UsageError, match="31 different values in 60 rows, too many for classes"):
            drafted("number", target, task=task)
        return
    found = drafted("number", target, task=task)
    assert yaml.safe_load(found.text)["model"]["layers"][-1]["units"] == outputs
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
    assert drafted("id", "date", "gaps", "holes", "text2", "number").text == (
        "# Predicts 'number' (a number) from 3 columns of 60 rows: 'gaps', 'holes', 'text2'.\n"
        "# Add columns that a new row will not have to data.exclude.\n"
        "data:\n"
        "  source: t.csv\n"
        "  target: number  # the last column\n"
        "  # 'id' counts the rows\n"
        "  # 'date' holds dates, such as '2024-01-01'\n"
        "  exclude: [id, date]\n"
        "  transform: {missing: median}  # 2 columns with missing values\n"
        "\n"
        "model:\n"
        "  layers:\n"
        "    - {type: dense, units: 32, activation: relu, initializer: he_normal}\n"
        "    - {type: dense, units: 1}  # one output, without activation: a number\n"
        "\n"
        "loss: mean_squared_error\n"
        "optimizer: {type: adam, learning_rate: 3e-3}\n"
        "metrics: [root_mean_squared_error, mean_absolute_error, r2]\n"
        "training: {epochs: 200, batch_size: 32}\n"
        "early_stopping: {patience: 20}  # epochs without a better validation/loss\n"
        "gradient_check: {}\n"
    )
    assert validate("t.yaml").warnings == []


def test_rare_categories_are_named(monkeypatch):
    monkeypatch.setitem(KINDS, "rare", ["c" if k in (3, 5) else "ab"[k % 2] for k in range(ROWS)])
    monkeypatch.setitem(KINDS, "sure", ["c" if k < 5 else "ab"[k % 2] for k in range(ROWS)])
    text = drafted("rare", "sure", "number").text
    assert "  # 'rare' has rare categories ('c' in 2 rows): another seed may hold all of them out\n" in text
    assert "'sure' has" not in text


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
        ("number id", {}, "t.csv: column 'id' counts the rows; name the column to predict with --target"),
        (
            "number code",
            {},
            "t.csv: column 'code' is an identifier or free text, with 60 different texts in 60 rows; name the column "
            "to predict with --target",
        ),
        ("number empty", {}, "t.csv: column 'empty' is empty; name the column to predict with --target"),
        ("number same", {}, "t.csv: column 'same' is 4 in every row; name the column to predict with --target"),
        ("number grade", {"target": "grad"}, "--target: t.csv: no column 'grad'; did you mean 'grade'?"),
        (
            "number grade",
            {"task": "ranking"},
            "--task: unknown task 'ranking'; known: classes, binary, regression",
        ),
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
            "date number",
            {},
            "t.csv: no column is left to predict 'number' from; 'date' holds dates, such as '2024-01-01'; a series "
            "needs data.window, as in the template airline",
        ),
        ("number", {}, "t.csv: no column is left to predict 'number' from"),
    ],
)
def test_refusals(columns, options, message):
    with pytest.raises(UsageError) as caught:
        drafted(*columns.split(), **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("target", ["gaps", None])
def test_a_missing_target_is_an_error_of_the_data(target):
    with pytest.raises(DataError) as caught:
        drafted("number", "gaps", target=target)
    other = "" if target else ", or name another column with --target"
    reason = "the target is missing, here and in 8 other rows; fill it in, or train with data.missing_target: drop"
    assert str(caught.value) == f"t.csv:2: column 'gaps': {reason}{other}"


def test_many_rows_make_larger_batches():
    rows = "".join(f"{k % 3},{k % 7 / 8}\n" for k in range(10_000))
    Path("t.csv").write_text(f"x,y\n{rows}")
    found = draft(read_table(DataFile(Path("t.csv"))), "t.csv")
    assert yaml.safe_load(found.text)["training"]["batch_size"] == 256


def test_differences_too_large_for_a_float():
    assert "exclude:" not in drafted("extreme", "number").text
