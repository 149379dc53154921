"""Results of the commands as text."""

from backprop_cli.api.validate import ValidateResult
from backprop_cli.report.results import validate_text


def test_validate_prints_a_hundred_classes_and_counts_the_rest():
    classes = list(range(1000, 1102))
    result = ValidateResult(examples={"train": 9}, input_shape=(2,), classes=classes, parameters=3, steps=1)
    text = validate_text(result)
    assert "1099, ... (102 in all)" in " ".join(text.split())
    assert "1100" not in text
