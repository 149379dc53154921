"""``bp list`` as text: a page on a terminal of any width."""

import pytest

from backprop_cli.api.list_types import list_types
from backprop_cli.nn.layer import LAYERS
from backprop_cli.report.list_text import list_text
from backprop_cli.visible import columns


def test_a_page_is_broken_under_its_labels(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert list_text(list_types("layers", "dense")).startswith("""\
dense (layers)

Affine map `out = activation(x @ weight.T + bias)`.

It maps each position of a sequence.

Shapes: x (batch, fan_in) -> out (batch, units), or x
        (batch, time, fan_in) -> out (batch, time, units);
        weight (units, fan_in), bias (units,), as in PyTorch
YAML:   {type: dense, units: 64, activation: relu,
        initializer: he_normal}
Raises: ShapeError for examples that are neither vectors nor
""")


@pytest.mark.parametrize("name", list(LAYERS))
def test_the_words_of_a_page_stay_at_any_width(name, monkeypatch):
    texts = []
    for width in (50, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        page, _, _ = list_text(list_types("layers", name)).partition("\n\nkey ")
        assert "``" not in page
        assert all(columns(line) <= width or " " not in line.strip() for line in page.splitlines())
        texts.append(page.split())
    assert texts[0] == texts[1]
