"""Classes are named as the file spells them, and match between formats by that spelling."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_split
from backprop_cli.errors import DataError


def write(name: str, labels: list) -> str:
    if name.endswith(".jsonl"):
        text = "".join(json.dumps({"x": i, "y": label}) + "\n" for i, label in enumerate(labels))
    elif name.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"x": list(range(len(labels))), "y": labels}), name)
        return name
    else:
        text = "x,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    Path(name).write_text(text)
    return name


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["02116", "10001", "94110"], [10001, 94110, "02116"]),
        (["1.1", "1.10", "2.0"], [1.1, 2.0, "1.10"]),
        (["1E3", "1e3", "12"], [12, "1E3", "1e3"]),
        (["007", "7"], [7, "007"]),
        (["2.0", "1.0", "2.0"], [1.0, 2.0]),
        (["2", "1.0", "1"], [1, 2]),
        (["true", "false"], ["false", "true"]),
        (["10", "9", "x"], [9, 10, "x"]),
        (["1,000", "2,000"], ["1,000", "2,000"]),
        (["9007199254740993", "9007199254740992"], [9007199254740992, 9007199254740993]),
    ],
)
def test_classes_of_a_csv(load: Load, folder: Path, labels: list[str], classes: list) -> None:
    Path("d.csv").write_text("x,y\n" + "".join(f'{i},"{label}"\n' for i, label in enumerate(labels)))
    data = load("classes", source="d.csv", target="y", split=None)
    assert [(type(name), name) for name in data.classes or ()] == [(type(name), name) for name in classes]
    plain = (
        load("classes", source=write("p.csv", [*labels, *labels]), target="y", split=None)
        if "1,000" not in labels
        else data
    )
    assert plain.classes == classes


SAME = {
    "numbers": (["0", "1", "2"], [0, 1, 2], [0.0, 1.0, 2.0]),
    "booleans": (["false", "true"], ["False", "True"], [False, True]),
    "zip codes": (["02116", "10001"], ["02116", "10001"]),
}


@pytest.mark.parametrize("given", SAME.values(), ids=SAME)
@pytest.mark.parametrize("task", ["classes", "binary"])
def test_formats_match_by_spelling(load: Load, folder: Path, given: tuple, task: str) -> None:
    if task == "binary" and len(given[0]) != 2:
        given = tuple(labels[:2] for labels in given)
    names = [write(f"{i}.{ext}", labels) for i, labels in enumerate(given) for ext in ("csv", "jsonl", "parquet")]
    for first in names:
        data = load(task, source=first, target="y", split=None)
        order = data.train.targets.ravel().tolist()
        for name in names:
            found = load_split(Path(name), data.transform, dtype="float64").targets
            assert found.ravel().tolist() == order, (first, name)


def test_categories_match_between_formats(load: Load, folder: Path) -> None:
    data = load("regression", source=write("d.jsonl", ["0", "1"]), target="x", split=None)
    for name in (write("d.csv", [0, 1]), write("e.jsonl", [0, 1]), write("d.parquet", [0.0, 1.0])):
        found = load_split(Path(name), data.transform, dtype="float64").inputs
        assert found.tolist() == data.train.inputs.tolist() == [[1, 0], [0, 1]]


def test_a_message_about_a_class_does_not_contradict_itself(load: Load, folder: Path) -> None:
    data = load("classes", source=write("d.csv", ["7", "8"]), target="y", split=None)
    with pytest.raises(DataError) as caught:
        load_split(Path(write("e.csv", ["007"])), data.transform, dtype="float64")
    assert str(caught.value) == (
        "e.csv:2: column 'y': class '007' is not in the train split, which has 7, 8; train with rows that have it, "
        "or remove this row"
    )


def test_arrays_have_whole_numbers(load: Load, folder: Path) -> None:
    np.savez("d.npz", x=np.arange(4.0), y=np.array([1.0, 2.0, 1.0, 2.0]))
    classes = load("classes", source="d.npz", target="y", split=None).classes
    assert [(type(name), name) for name in classes or ()] == [(int, 1), (int, 2)]
