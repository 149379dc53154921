"""Weights of classes: balanced, by name, and of classes that there are not."""

import pytest
from nn_support import build

from backprop_cli.errors import UsageError
from backprop_cli.nn.loss import LOSSES


def _weights(setting, classes=("cat", "dog", "owl"), counts=(6, 3, 1)):
    weights = build(LOSSES, {"type": "cross_entropy", "class_weight": setting}).class_weights(classes, counts)
    return None if weights is None else weights.tolist()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("none", None),
        (None, None),
        ("balanced", [10 / 18, 10 / 9, 10 / 3]),
        ({"owl": 5}, [1, 1, 5]),
        ({"owl": 0.5, "cat": 0}, [0, 1, 0.5]),
    ],
)
def test_class_weights(setting, expected):
    assert _weights(setting) == (None if expected is None else pytest.approx(expected))


def test_balanced_classes_that_the_train_split_lacks_weigh_1():
    assert _weights("balanced", counts=(4, 0, 4)) == pytest.approx([8 / 12, 1, 8 / 12])


@pytest.mark.parametrize("classes", [(0, 1, 2), ("0", "1", "2"), (0.0, 1.0, 2.0)])
def test_class_names_are_compared_as_numbers_and_as_text(classes):
    assert _weights({2: 4.0}, classes) == [1, 1, 4]


@pytest.mark.parametrize(
    ("setting", "classes", "text"),
    [
        (
            {"dgo": 2.0},
            ("cat", "dog", "owl"),
            "loss.class_weight: unknown class 'dgo'; did you mean 'dog'?",
        ),
        ({1: 2.0, "1": 3.0}, (0, 1, 2), "loss.class_weight: class '1' has a weight already; remove one of the two"),
        ({7: 2.0}, (0, 1, 2), "loss.class_weight: unknown class '7'; known: 0, 1, 2"),
        (
            {"x": 2.0},
            tuple(range(100, 130)),
            "loss.class_weight: unknown class 'x'; known: 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, "
            "112, 113, 114, 115, 116, 117, 118, 119, ... (30 in all)",
        ),
    ],
)
def test_weights_for_unknown_classes(setting, classes, text):
    with pytest.raises(UsageError) as caught:
        _weights(setting, classes, [1] * len(classes))
    assert str(caught.value) == text
