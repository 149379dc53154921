"""Categories that the train split lacks: read as other, counted, and learned from known ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.category_dropout import RATE, CategoryDropout
from backprop_cli.data.dataset import load_inputs
from backprop_cli.data.fitted import check_fitted
from backprop_cli.data.stream import stream_inputs
from backprop_cli.data.transform import Transform
from backprop_cli.errors import BpWarning

OTHER = {"unknown": "other", "numeric": "none"}


@pytest.fixture
def fitted(load: Load) -> Transform:
    Path("train.csv").write_text("c,x,y\na,1,0\nb,2,1\na,3,2\n")
    return load("regression", source="train.csv", target="y", split=None, transform=OTHER).transform


def test_other_is_an_input_of_its_own(fitted: Transform) -> None:
    assert fitted.feature_names == ["c=a", "c=b", "c=<other>", "x"]
    Path("new.csv").write_text("c,x\nb,5\nq,6\nr,7\nq,8\n")
    with pytest.warns(BpWarning) as caught:
        inputs, _ = load_inputs(Path("new.csv"), fitted, dtype="float64")
    assert inputs.tolist() == [[0, 1, 0, 5], [0, 0, 1, 6], [0, 0, 1, 7], [0, 0, 1, 8]]
    assert [str(each.message) for each in caught] == [
        "new.csv:3: column 'c': 3 rows with a category that the train split lacks, read as other: 'q' (2), 'r' (1)"
    ]
    again = Transform.from_json(json.loads(json.dumps(fitted.to_json())))
    check_fitted(again)
    assert again.to_json() == fitted.to_json()


def test_ordinal_has_a_number_for_it(load: Load) -> None:
    Path("train.csv").write_text("c,y\na,0\nb,1\n")
    Path("test.csv").write_text("c,y\nb,0\nq,1\n")
    keys = {"train": "train.csv", "test": "test.csv", "target": "y"}
    with pytest.warns(BpWarning, match=r"test.csv:3: column 'c': 1 row with a category .*: 'q' \(1\)"):
        data = load("regression", **keys, transform={**OTHER, "categorical": "ordinal"})
    assert data.test is not None
    assert data.test.inputs.tolist() == [[1], [2]]


def test_a_stream_gives_one_warning(fitted: Transform) -> None:
    Path("new.csv").write_text("c,x\n" + "".join(f"{'abq'[i % 3]},{i}\n" for i in range(30)))
    with pytest.warns(BpWarning) as caught:
        assert sum(map(len, stream_inputs(Path("new.csv"), fitted, dtype="float64", chunk_rows=4))) == 30
    assert [str(each.message) for each in caught] == [
        "new.csv:4: column 'c': 10 rows with a category that the train split lacks, read as other: 'q' (10)"
    ]


def test_an_older_checkpoint_has_no_such_input(fitted: Transform) -> None:
    tree = fitted.to_json()
    coded, scaled = (
        {key: v for key, v in each.items() if key not in ("other", "indicator")} for each in tree["features"]
    )
    old = Transform.from_json({**tree, "features": [coded, scaled], "input_shape": [3]})
    check_fitted(old)
    assert old.feature_names == ["c=a", "c=b", "x"]
    assert not CategoryDropout(old, 10, 0)


def test_tokens_need_room_for_it(load: Load) -> None:
    Path("d.csv").write_text("c,y\na,0\nb,1\na,2\n")
    for tokens, other in ((2, False), (3, True)):
        keys = {"source": "d.csv", "target": "y", "split": None, "tokens": tokens}
        found = load("regression", **keys, transform={"unknown": "other", "categorical": "ordinal"}).transform
        assert bool(CategoryDropout(found, 10, 0)) == other


@pytest.mark.parametrize("missing", ["error", "indicator"])
@pytest.mark.parametrize("categorical", ["one_hot", "ordinal"])
def test_training_reads_a_few_known_categories_as_other(load: Load, categorical: str, missing: str) -> None:
    count = 5000
    gap = "" if missing == "indicator" else "b"
    rows = "".join(f"{'a' if i % 3 else gap},{'pq'[i % 2]},{i},{i}\n" for i in range(count))
    Path("d.csv").write_text("c,d,x,y\n" + rows)
    transform = {"unknown": "other", "categorical": categorical, "missing": missing, "numeric": "none"}
    data = load("regression", source="d.csv", target="y", split=None, transform=transform)
    dropout, names = CategoryDropout(data.transform, count, seed=3), data.feature_names

    def changed(epoch: int, size: int = 64) -> np.ndarray:
        inputs = np.array(data.train.inputs)
        for start in range(0, count, size):
            dropout(inputs[start : start + size], epoch, start)
        return inputs

    once, before = changed(1), np.array(data.train.inputs)
    np.testing.assert_array_equal(once, changed(1, size=7))
    np.testing.assert_array_equal(once, changed(1))
    assert not np.array_equal(once, changed(2))
    order, inputs = np.random.default_rng(1).permutation(count), np.array(before)
    with dropout.during(inputs, 1, order):
        gathered = inputs[order]
    np.testing.assert_array_equal(inputs, before)
    one_batch = np.array(before[order])
    dropout(one_batch, 1, 0)
    np.testing.assert_array_equal(gathered, one_batch)
    np.testing.assert_array_equal(once[:, names.index("x")], before[:, names.index("x")])
    moved = (once != before).any(axis=1)
    known = np.array([missing == "error" or i % 3 > 0 for i in range(count)])
    assert abs(moved.sum() - count * RATE * (1 + known.mean())) < 40
    if categorical == "one_hot":
        for column in ("c", "d"):
            own = [place for place, name in enumerate(names) if name.startswith(column)]
            assert (once[:, own].sum(axis=1) == 1).all()
            other = once[:, names.index(f"{column}=<other>")] == 1
            assert abs(other.sum() - count * RATE * (known.mean() if column == "c" else 1)) < 35
            assert not other[~known].any() or column == "d"
