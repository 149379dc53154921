"""The section ``data``: what goes together, what does not, and defaults."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from backprop_cli.data.format import FORMATS
from backprop_cli.data.sections import Scale, SplitSettings, TextSettings
from backprop_cli.data.settings import DataSettings, FilePair


def settings(**keys: object) -> DataSettings:
    return DataSettings.model_validate(keys)


def test_defaults() -> None:
    one = settings(source="a.csv", target="k")
    assert one.split == SplitSettings(validation=0.15, test=0.15, stratify=True)
    assert one.features == "all"
    assert one.transform.model_dump() == {
        "numeric": "standardize",
        "categorical": "one_hot",
        "unknown": "other",
        "missing": "error",
        "date": "auto",
        "cyclic": True,
        "format": None,
        "target": "auto",
        "columns": None,
    }
    assert settings(generate={"type": "xor"}).split == SplitSettings()
    assert settings(train="a.csv", target="k").split is None
    assert settings(source="a.csv", target="k", split="none").split is None
    assert settings(train="a.csv", target="k", split={}).split == SplitSettings()


def test_every_value_written_out_means_the_same() -> None:
    for given in (
        {"source": "a.csv", "target": ["k", "l"], "split": {"validation": 0.2}},
        {"train": {"inputs": "a", "targets": "b"}, "test": "c.csv", "transform": {"numeric": {"scale": 0.5}}},
        {"generate": {"type": "moons"}, "split": "none"},
        {"source": "a.txt", "text": {"tokens": "word", "stride": 3}},
        {"source": "a.csv", "target": "k", "window": {"length": 3, "season": 12}},
    ):
        first = settings(**given)
        assert settings(**first.model_dump()) == first
        assert hash(first) == hash(settings(**given))


def test_forms() -> None:
    made = settings(train={"inputs": "a.idx", "targets": "b.idx"}, transform={"numeric": {"scale": 0.5}}, format="idx")
    assert made.train == FilePair(inputs="a.idx", targets="b.idx")
    assert made.transform.numeric == Scale(scale=0.5)


def test_a_bare_word_generates_with_defaults() -> None:
    assert settings(generate="xor") == settings(generate={"type": "xor"})


def test_none_takes_a_file_away() -> None:
    assert settings(source="a.csv", target="k", train="none", validation="none", test="none", generate="none") == (
        settings(source="a.csv", target="k")
    )
    assert settings(train="a.csv", target="k", source="none").split is None
    assert settings(train="./none", target="k").train == "./none"


def test_a_text_is_told_by_its_name_or_format() -> None:
    for keys in ({"source": "a.txt"}, {"train": "a.TXT.gz"}, {"source": "a.log", "format": "text"}):
        assert settings(**keys).text == TextSettings(tokens="character", context=64, lines=False, minimum_count=1)
    assert settings(source="a.txt", format="csv", target="k").text is None
    assert settings(source="a.txt", text="none") == settings(source="a.txt", text={})


@pytest.mark.parametrize(
    ("keys", "place", "reason"),
    [
        ({}, (), "needs 'source', 'train' or 'generate'"),
        ({"source": "a", "train": "b", "target": "k"}, (), "'source' and 'train' exclude each other; keep one"),
        ({"source": "a", "generate": {"type": "xor"}}, (), "'source' and 'generate' exclude each other; keep one"),
        ({"source": "a", "test": "b", "target": "k"}, (), "'test' goes with 'train', not with 'source'"),
        (
            {"source": "a.csv"},
            (),
            "needs 'target': the column or array to predict, or 'features' for the inputs themselves",
        ),
        (
            {"train": {"inputs": "a", "targets": "b"}, "target": "features"},
            (),
            "'target: features' goes with a single file of inputs, not with {inputs, targets}",
        ),
        ({"source": "a", "target": ["k", "k"]}, ("target",), "names 'k' twice"),
        ({"source": "a", "target": "k", "features": ["x", "y", "x"]}, ("features",), "names 'x' twice"),
        (
            {"source": "a", "target": "k", "split": {"validation": 0.5, "test": 0.5}},
            ("split",),
            "validation + test must be less than 1, got 0.5 + 0.5",
        ),
        (
            {"source": "a", "target": "k", "format": "cvs"},
            ("format",),
            f"Input should be {', '.join(map(repr, list(FORMATS)[:-1]))} or {list(FORMATS)[-1]!r}",
        ),
        (
            {"source": "a.txt", "target": "k"},
            (),
            "'target' goes with columns, but a text has none: its next tokens are predicted; for a table set the "
            "format (csv, tsv, jsonl)",
        ),
        (
            {"source": "a", "format": "text", "transform": {"numeric": "none"}},
            (),
            "'transform' goes with columns, but a text has none: its next tokens are predicted",
        ),
        (
            {"source": "a.txt", "window": {"length": 3}},
            (),
            "'window' goes with columns, but a text has none: its next tokens are predicted; for a table set the "
            "format (csv, tsv, jsonl)",
        ),
        (
            {"source": "a.txt", "augment": {"shift": 1}},
            (),
            "'augment' goes with images, not with a text",
        ),
        (
            {"source": "a.csv", "target": "features", "window": {"length": 3}},
            (),
            "'window' needs 'target': the column to predict, or a list of them",
        ),
        (
            {"source": "a.csv", "target": "k", "text": {}},
            (),
            "'text' goes with a text file; name a .txt, or set format: text",
        ),
        (
            {"train": "a.txt", "test": {"inputs": "b.txt", "targets": "c.txt"}},
            (),
            "{inputs, targets} goes with arrays; for a text name only the file",
        ),
        (
            {"source": "a.txt", "text": {"lines": True, "stride": 3}},
            ("text",),
            "'stride' goes with running text; with 'lines' every line is an example",
        ),
    ],
)
def test_what_does_not_go_together(keys: dict, place: tuple, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**keys)
    (error,) = caught.value.errors()
    assert error["loc"] == place
    assert error["msg"] == reason


@pytest.mark.parametrize(
    "keys",
    [
        {"split": {"validation": 1.0}},
        {"split": {"test": -0.1}},
        {"split": {"train": 0.7}},
        {"transform": {"numeric": "standardise"}},
        {"transform": {"numeric": {"scale": float("inf")}}},
        {"transform": {"numeric": {"scale": 0}}},
        {"transform": {"missing": "zero"}},
        {"target": []},
        {"features": "some"},
        {"features": []},
        {"generate": {"type": "spirals"}, "source": None},
        {"generate": {"type": "xor", "examples": 0}, "source": None},
        {"generate": {"type": "xor", "noise": -1.0}, "source": None},
        {"train": {"inputs": "a"}, "source": None},
    ],
)
def test_bad_values(keys: dict) -> None:
    with pytest.raises(ValidationError):
        settings(**{"source": "a.csv", "target": "k", **keys})
