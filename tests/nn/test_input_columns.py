"""Layers that read columns of the data by name."""

import numpy as np
import pytest
from nn_support import build

from backprop_cli import autodiff as ad
from backprop_cli.nn.input_columns import InputColumn
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.layer_shapes import LayerShapeError
from backprop_cli.nn.model import Model
from backprop_cli.nn.scopes import WiringError

COLUMNS = (
    InputColumn("price"),
    InputColumn("color", 3, 3),
    InputColumn("weight"),
    InputColumn("height"),
    InputColumn("shop", 1, 7),
)
X = np.arange(14.0).reshape(2, 7)


def _model(inputs, shape=(7,), columns=COLUMNS):
    layers = [{"type": "flatten", "inputs": [inputs]}]
    return Model.build([build(LAYERS, each) for each in layers], shape, columns=columns)


@pytest.mark.parametrize(
    ("name", "places"),
    [("numeric", [0, 4, 5]), ("categories", [1, 2, 3, 6]), ("input.color", [1, 2, 3]), ("input", range(7))],
)
def test_a_layer_reads_columns(name, places):
    x = ad.input_("x", X.shape)
    (found,) = ad.evaluate([_model(name).apply({}, x)], {x: X})
    np.testing.assert_array_equal(found, X[:, places])


def test_neighbours_are_a_view():
    (out,) = (_model("input.color").apply({}, ad.input_("x", X.shape)),)
    assert all(value.op is None or value.op.is_view for value in ad.toposort([out]))


def test_rows_of_a_window_have_columns_too():
    assert _model("numeric", (4, 7)).output_shape == (12,)


@pytest.mark.parametrize(
    ("name", "shape", "columns", "reason"),
    [
        ("input.colour", (7,), COLUMNS, "the data has no such column; did you mean 'input.color'?"),
        ("numeric", (7,), (InputColumn("a", 7, 7),), "the data has no such column; all are categories"),
        ("categories", (1,), (InputColumn("a"),), "the data has no such column; all are numbers"),
        ("numeric", (7,), (), "only rows of a table have columns"),
        (
            "numeric",
            (7, 1),
            COLUMNS,
            "examples have the shape [7, 1], without an axis for columns; leave model.input out",
        ),
    ],
)
def test_columns_that_are_not_there(name, shape, columns, reason):
    with pytest.raises(LayerShapeError) as caught:
        _model(name, shape, columns)
    assert str(caught.value) == f"layer flatten_1: inputs: '{name}': {reason}"
    assert caught.value.path == ("layers", 0, "inputs")


def test_no_layer_has_the_name_of_a_group():
    with pytest.raises(WiringError) as caught:
        Model.build([build(LAYERS, {"type": "dense", "units": 1, "name": "numeric"})], (2,))
    assert str(caught.value) == "layer name 'numeric' stands for columns; choose another"


def test_a_misspelt_group_is_recognized():
    with pytest.raises(WiringError) as caught:
        _model("numerics")
    assert str(caught.value) == "layer flatten_1: inputs: unknown layer 'numerics'; did you mean 'numeric'?"
