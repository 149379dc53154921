"""Splits: disjoint, complete, in proportion, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backprop_cli.data.split import split_rows
from backprop_cli.errors import DataError

FRACTIONS = st.sampled_from([0.0, 0.1, 0.15, 0.2, 1 / 3, 0.45])


@given(st.integers(20, 300), FRACTIONS, FRACTIONS, st.integers(1, 6), st.booleans(), st.integers(0, 2**32))
def test_disjoint_complete_in_order_and_in_proportion(
    rows: int, validation: float, test: float, classes: int, stratify: bool, seed: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, rows)
    fractions = {"validation": validation, "test": test}
    split = split_rows(rows, fractions, seed=seed, labels=labels if stratify else None, name="x")
    assert list(split) == ["train", *(name for name, fraction in fractions.items() if fraction)]
    together = np.concatenate(list(split.values()))
    assert sorted(together) == list(range(rows))
    share = {"train": 1 - validation - test, **fractions}
    for name, indices in split.items():
        assert np.all(np.diff(indices) > 0)
        assert abs(len(indices) - share[name] * rows) < 1
        if stratify:
            for label in range(classes):
                expected = len(indices) / rows * np.count_nonzero(labels == label)
                assert abs(np.count_nonzero(labels[indices] == label) - expected) < 2
    if stratify and len(split["train"]) >= len(set(labels)):
        assert set(labels[split["train"]]) == set(labels)


def test_stratified_by_largest_remainder() -> None:
    labels = np.repeat([0, 1, 2], [50, 50, 50])
    split = split_rows(150, {"validation": 0.15, "test": 0.15}, seed=0, labels=labels, name="x")
    counts = {name: np.bincount(labels[indices]).tolist() for name, indices in split.items()}
    assert counts["train"] == [35, 35, 35]
    assert sorted(counts["validation"]) == [7, 8, 8]
    assert sorted(counts["test"]) == [7, 7, 8]


def test_a_rare_class_is_in_train() -> None:
    labels = np.repeat([0, 1, 2], [97, 2, 1])
    split = split_rows(100, {"validation": 0.4, "test": 0.4}, seed=3, labels=labels, name="x")
    assert set(labels[split["train"]]) == {0, 1, 2}


def test_the_seed_decides_who() -> None:
    splits = [split_rows(100, {"test": 0.2}, seed=seed, labels=None, name="x")["test"].tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    assert splits[0] != list(range(20))


def test_no_fraction_no_split() -> None:
    split = split_rows(5, {"validation": 0.0, "test": 0.0}, seed=0, labels=None, name="x")
    assert {name: rows.tolist() for name, rows in split.items()} == {"train": [0, 1, 2, 3, 4]}


def test_too_few_rows() -> None:
    with pytest.raises(DataError) as caught:
        split_rows(2, {"validation": 0.15, "test": 0.15}, seed=0, labels=None, name="few.csv")
    assert str(caught.value) == (
        "few.csv: 2 rows cannot be split into train 0.7, validation 0.15, test 0.15: nothing is left for validation; "
        "give more rows or set data.split"
    )


@given(st.integers(1, 40), st.lists(st.sampled_from([0.1, 0.3, 0.5]), min_size=2, max_size=2))
def test_every_split_has_a_row_or_an_error_says_so(rows: int, fractions: list[float]) -> None:
    assume(sum(fractions) < 1)
    try:
        split = split_rows(
            rows, dict(zip(("validation", "test"), fractions, strict=True)), seed=0, labels=None, name="x"
        )
    except DataError:
        assert rows < 10
    else:
        assert min(map(len, split.values())) > 0
