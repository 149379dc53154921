"""A text as examples: which tokens are where, in which split, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from data_support import Load

from backprop_cli.data.dataset import load_dataset, load_inputs, load_split
from backprop_cli.data.fit import Demand
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.sources import known_input_shape
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError, SettingError
from backprop_cli.nn.task import TOKENS

DATASETS = Path(__file__).parents[2] / "datasets"
TEXT = "".join(chr(97 + i % 26) + ("\n" if i % 10 == 9 else "") for i in range(200))  # 220 characters in 20 lines


@pytest.fixture
def text(folder: Path) -> str:
    (folder / "t.txt").write_text(TEXT)
    return "t.txt"


def test_the_target_is_the_next_token_and_splits_are_in_order(load: Load, text: str) -> None:
    data = load("tokens", source=text, text={"context": 7}, split={"validation": 0.2, "test": 0.1})
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 21, "validation": 7, "test": 3}
    assert data.classes == sorted(set(TEXT))
    assert data.input_shape == (7,)
    # 154, 44 and 22 tokens: of those held out each but the first is to be predicted, of train those in whole windows.
    predicted = {"train": TEXT[1:148], "validation": TEXT[155:198], "test": TEXT[199:220]}
    for name, split in data.splits.items():
        inputs, targets = np.asarray(split.inputs), np.asarray(split.targets)
        assert inputs.dtype == targets.dtype == np.int64
        there = targets != -1
        assert data.transform.text.decode(targets[there]) == predicted[name]
        np.testing.assert_array_equal(inputs.ravel()[1 : there.sum()], targets[there][:-1])
    assert np.asarray(data.splits["validation"].targets)[-1].tolist()[1:] == [-1] * 6
    measured = np.asarray(data.measured["train"].targets)
    assert data.transform.text.decode(measured[measured != -1]) == TEXT[1:154]
    assert data.test is not None
    assert data.test.rows is not None
    assert data.test.rows.tolist() == [19, 19, 20]


def test_windows_of_the_train_split_may_overlap(load: Load, text: str) -> None:
    data = load("tokens", source=text, text={"context": 7, "stride": 2}, split={"validation": 0.2, "test": 0})
    plain = load("tokens", source=text, text={"context": 7}, split={"validation": 0.2, "test": 0})
    assert len(data.train) == 85
    assert data.transform.text.decode(data.train.inputs[1]) == TEXT[2:9]
    for name in ("train", "validation"):
        np.testing.assert_array_equal(data.measured[name].inputs[:], plain.measured[name].inputs[:])
        np.testing.assert_array_equal(data.measured[name].targets[:], plain.measured[name].targets[:])


@pytest.mark.parametrize("count", [2, 3, 6, 7, 8, 9, 14, 15, 16, 100])
@pytest.mark.parametrize("stride", [None, 1, 5, 7, 9])
def test_metrics_count_every_token_but_the_first_once(load: Load, folder: Path, count: int, stride: int | None) -> None:
    (folder / "t.txt").write_text(TEXT[:count])
    data = load("tokens", source="t.txt", text={"context": 7, "stride": stride}, split="none")
    for split in (data.measured["train"], load_split(Path("t.txt"), data.transform, dtype="float32")):
        targets = np.asarray(split.targets)
        assert data.transform.text.decode(targets[targets != -1]) == TEXT[1:count]
        assert len(split) == -(-(count - 1) // 7)
    # Training uses whole windows only, unless there is none.
    assert len(data.train) == max(1, len(range(0, count - 7, stride or 7)))
    assert (np.asarray(data.train.targets) == -1).any() == (count < 8)


def test_lines_are_framed_filled_up_and_shuffled_by_seed(load: Load, folder: Path) -> None:
    (folder / "n.txt").write_text("ab\n\nabcdef\r\nb")
    data = load("tokens", source="n.txt", text={"context": 4, "lines": True}, split="none")
    assert data.classes == ["\n", "a", "b", "c", "d", "e", "f"]
    assert data.train.inputs[:].tolist() == [[0, 1, 2, 0], [0, 1, 2, 3], [4, 5, 6, 0], [0, 2, 0, 0]]
    assert data.train.targets[:].tolist() == [[1, 2, 0, -1], [1, 2, 3, 4], [5, 6, 0, -1], [2, 0, -1, -1]]
    assert data.train.rows is not None
    assert data.train.rows.tolist() == [1, 3, 3, 4]


def test_every_line_is_in_one_split(load: Load, folder: Path) -> None:
    names = [f"{a}{b}" for a in "abcdefgh" for b in "ijklm"]
    (folder / "n.txt").write_text("\n".join(names))
    keys = {"source": "n.txt", "text": {"context": 3, "lines": True}, "split": {"validation": 0.25, "test": 0.25}}
    first, again, other = (load("tokens", seed=seed, **keys) for seed in (0, 0, 1))
    found = {name: [first.transform.text.decode(row[1:]) for row in s.inputs[:]] for name, s in first.splits.items()}
    assert {name: len(lines) for name, lines in found.items()} == {"train": 20, "validation": 10, "test": 10}
    assert sorted(name for lines in found.values() for name in lines) == sorted(names)
    np.testing.assert_array_equal(first.train.inputs[:], again.train.inputs[:])
    assert not np.array_equal(first.train.inputs[:], other.train.inputs[:])


def test_the_transform_is_all_that_other_texts_need(load: Load, text: str, folder: Path) -> None:
    data = load("tokens", source=text, text={"context": 7, "stride": 1})
    (folder / text).unlink()
    stored = Transform.from_json(json.loads(json.dumps(data.transform.to_json())))
    assert stored.text.decode(stored.text.encode("hello\nbob", "text")) == "hello\nbob"
    (folder / "new.txt").write_text("the quick brown fox".replace(" ", "\n"))
    split = load_split(Path("new.txt"), stored, dtype="float32")
    assert stored.text.decode(split.inputs[:].ravel()) == "the\nquick\nbrown\nfo" + "aaa".replace(
        "a", stored.text.vocabulary[0]
    )
    inputs, rows = load_inputs(Path("new.txt"), stored, dtype="float32")
    np.testing.assert_array_equal(inputs, split.inputs[:])
    assert rows.tolist() == [1, 2, 3]


def test_a_file_a_split(load: Load, text: str, folder: Path) -> None:
    (folder / "v.txt.gz").write_bytes(gzip.compress(b"a quick one".replace(b" ", b"\n")))
    data = load("tokens", train=text, validation="v.txt.gz", text={"context": 5})
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 43, "validation": 2}  # of 11 tokens
    assert len(data.files) == 2
    (folder / "x.log").write_text(TEXT)
    assert len(load("tokens", train="x.log", format="text", text={"context": 5}).train) == 43


def test_the_shape_is_known_without_the_file(folder: Path) -> None:
    settings = DataSettings.model_validate({"source": "none.txt", "text": {"context": 9}})
    assert known_input_shape(settings, folder) == (9,)


def test_messages(load: Load, text: str, folder: Path) -> None:
    (folder / "empty.txt").write_text(" \n")
    (folder / "latin.txt").write_bytes("a\nbé".encode("latin1"))
    (folder / "x.csv").write_text("a,b\n1,2\n")

    def message(**keys: object) -> str:
        with pytest.raises(DataError) as caught:
            load("tokens", **keys)
        return str(caught.value)

    assert message(source="empty.txt") == "empty.txt: it has only white space"
    assert message(source="latin.txt") == (
        "latin.txt:2: not UTF-8 text (byte 0xe9 at character 2); convert the file, for example with "
        "`iconv -f latin1 -t utf-8 old > new`"
    )
    assert message(source=text, split={"validation": 0.003, "test": 0}) == (
        "t.txt: the validation split has 1 token, expected at least 2: one to read and the next to predict; give more "
        "text"
    )
    assert message(source=text, split={"validation": 0.001, "test": 0}) == (
        "t.txt: 220 tokens cannot be split into train 0.999, validation 0.001: nothing is left for validation; give "
        "more tokens or set data.split"
    )


@pytest.mark.parametrize(
    ("task", "keys", "path", "reason"),
    [
        (
            "tokens",
            {"input_shape": (8,)},
            ("model", "input"),
            "[8] is not the shape of an example, which has data.text.context: 7 tokens",
        ),
        (
            "tokens",
            {"tokens": None},
            ("model", "layers"),
            "the network computes with its inputs, and t.txt has 27 different tokens; begin with an embedding with "
            "tokens: 27",
        ),
        ("classes", {}, ("loss",), "the targets of a text are the tokens that come next; use loss: next_token"),
    ],
)
def test_mistakes_of_the_settings(load: Load, text: str, task: str, keys: dict, path: tuple, reason: str) -> None:
    with pytest.raises(SettingError) as caught:
        load(task, source=text, text={"context": 7}, **keys)
    (problem,) = caught.value.problems
    assert (problem.path, problem.reason) == (path, reason)


def test_messages_about_other_files(load: Load, text: str, flowers: str, folder: Path) -> None:
    transform = load("tokens", source=text, text={"context": 7}).transform
    with pytest.raises(DataError) as caught:
        load_split(Path(flowers), transform, dtype="float32")
    expected = "flowers.csv: the network was trained on a text; name a .txt, or set data.format: text"
    assert str(caught.value) == expected
    columns = load("classes", source=flowers, target="k", features=["a", "b"]).transform
    with pytest.raises(DataError) as caught:
        load_split(Path(text), columns, dtype="float32")
    assert str(caught.value) == "t.txt: is a text, expected rows; name a table, or set its format (csv, tsv, jsonl)"


def test_the_plays_of_shakespeare() -> None:
    """As in nanoGPT, but for one character: 1,003,855 to train on, 111,539 held out, 65 different ones."""
    settings = DataSettings.model_validate({"source": "tiny_shakespeare.txt", "split": {"validation": 0.1, "test": 0}})
    data = load_dataset(settings, Demand(TOKENS, "float32", tokens=65), base=DATASETS, seed=0)
    assert data.classes is not None
    assert len(data.classes) == 65
    assert (len(data.train), len(data.splits["validation"])) == (1003854 // 64, 111538 // 64 + 1)
    assert data.transform.text.decode(data.train.inputs[0]).startswith("First Citizen:\nBefore we proceed")
    assert data.transform.text.decode(data.splits["validation"].inputs[0]).startswith("\n\nGREMIO:\nGood morrow")
