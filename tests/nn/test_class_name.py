"""Names of classes: what is a number, and which names of two files are the same."""

from __future__ import annotations

import pytest

from backprop_cli.errors import UsageError
from backprop_cli.nn.class_name import Places, named, spelled
from backprop_cli.nn.losses._shared.class_weight import class_weights


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0", 0),
        ("-7", -7),
        ("12345678901234567890", 12345678901234567890),
        ("1.0", 1.0),
        ("-2.5", -2.5),
        *(
            (text, text)
            for text in ("007", "02116", "-0", "+1", "1.10", "01.5", "1E3", "1e3", "1.", ".5", "-0.0", "1,5")
        ),
        *((text, text) for text in ("nan", "inf", "1_0", "٣", "", "9" * 301)),
    ],
)
def test_a_number_is_one_only_where_it_keeps_its_spelling(text: str, name: object) -> None:
    assert (type(named(text)), named(text)) == (type(name), name)


@pytest.mark.parametrize(
    ("names", "asked", "place"),
    [
        ([0, 1, 2], "1", 1),
        (["0", "1", "2"], 2, 2),
        ([1, 2], 2.0, 1),
        ([1.0, 2.0], "2", 1),
        (["02116", 10001], 2116, None),
        ([7, "007"], "007", 1),
        (["1.1", "1.10"], 1.1, 0),
        (["1e3", "1E3"], 1000, None),
        (["false", "true"], True, 1),
        ([False, True], "True", 1),
        (["False", "True"], "true", 1),
        (["true", "True"], "TRUE", None),
        (["true", "True"], "True", 1),
        ([False, True], 1, 1),
        ([0, 1], True, 1),
        ([0, 1, 2], True, None),
        ([1, "1"], "1", 1),
        ([1, "1"], 1.0, 0),
        (["1", "1.0"], 1, 0),
        (["1", "1.0"], 1.0, 1),
        (["1.0", "2"], 1, 0),
        (["red"], " red ", 0),
        (["red"], "Red", None),
    ],
)
def test_names_of_two_files_match_by_spelling(names: list, asked: object, place: int | None) -> None:
    assert Places(names).find(asked) == place


def test_spelled() -> None:
    assert [*map(spelled, (True, False, 2020, 1.0, "x"))] == ["true", "false", "2020", "1.0", "x"]


def test_weights_by_the_names_in_the_file() -> None:
    assert class_weights({"02116": 2}, ["02116", 10001], [1, 1]).tolist() == [2, 1]
    assert class_weights({True: 2, False: 3}, ["false", "true"], [1, 1]).tolist() == [3, 2]
    assert class_weights({"1": 2}, [0, 1], [1, 1]).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        (2116, ["02116", "x"], "unknown class '2116'; write it in quotes, as the file spells it: '02116'"),
        (1000.0, ["1e3", 12], "unknown class '1000.0'; write it in quotes, as the file spells it: '1e3'"),
        (True, ["yes", "no"], "unknown class 'true'; known: yes, no"),
        ("versicolour", ["setosa", "versicolor"], "unknown class 'versicolour'; did you mean 'versicolor'?"),
    ],
)
def test_weights_of_unknown_classes(name: object, classes: list, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        class_weights({name: 2}, classes, [1, 1])
    assert message in str(caught.value)
