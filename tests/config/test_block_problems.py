"""Blocks in a configuration: mistakes at the lines of nested layers, overrides into them, and what is written out."""

import pytest
from config_support import message, write

from backprop_cli.config.config_warnings import config_warnings
from backprop_cli.config.dump import to_yaml
from backprop_cli.config.json_schema import json_schema
from backprop_cli.config.load import from_tree, load_config
from backprop_cli.config.resolve import resolved_tree

DEEP = """\
data:
  source: digits.csv
  target: digit
model:
  input: [64]
  layers:
    - {type: dense, units: 32}
    - type: block
      repeat: 3
      residual: true
      layers:
        - layer_norm
        - type: block
          layers:
            - {type: dense, units: 32, activation: relu}
            - dropout
        - {type: dense, units: 32}
    - {type: dense, units: 10}
loss: cross_entropy
"""


def deep(old, new):
    assert DEEP.count(old) == 1
    return DEEP.replace(old, new)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            deep("{type: dense, units: 32, activation: relu}", "{type: dense, units: -32, activation: relu}"),
            "digits.yaml:15:36: model.layers[1].layers[1].layers[0].units: must be greater than 0, got -32\n"
            "   15 |             - {type: dense, units: -32, activation: relu}\n"
            "      |                                    ^^^",
        ),
        (
            deep("            - dropout\n", "            - {type: dropout, rat: 0.1}\n"),
            "digits.yaml:16:31: model.layers[1].layers[1].layers[1].rat: unknown key; did you mean 'rate'?\n"
            "   16 |             - {type: dropout, rat: 0.1}\n"
            "      |                               ^^^",
        ),
        (
            deep("            - dropout\n", "            - dropuot\n"),
            "digits.yaml:16:15: model.layers[1].layers[1].layers[1]: unknown layer 'dropuot'; did you mean 'dropout'?\n"
            "   16 |             - dropuot\n"
            "      |               ^^^^^^^",
        ),
        (
            deep("        - {type: dense, units: 32}\n", "        - {type: dense, units: 32, inputs: norm}\n"),
            "digits.yaml:17:44: model.layers[1].layers[2].inputs: layer block_1.dense_1: inputs: unknown layer 'norm'; "
            "known: input, layer_norm_1, block_1, dense_1\n"
            "   17 |         - {type: dense, units: 32, inputs: norm}\n"
            "      |                                            ^^^^",
        ),
        (
            deep("        - {type: dense, units: 32}\n", "        - {type: dense, units: 16}\n"),
            "digits.yaml:8:7: model.layers[1]: layer block_1.1: a residual block adds its input to the output of its "
            "layers, and block_1.1.dense_1 has another shape; end its layers with {type: dense, units: 32}, or put "
            "{type: dense, units: 16} before the block (given dense_1: [32], block_1.1.dense_1: [16])\n"
            "    8 |     - type: block\n"
            "      |       ^^^^",
        ),
        (
            deep("            - dropout\n", "            - {type: reshape, shape: [4, 8, 1]}\n"),
            "digits.yaml:17:11: model.layers[1].layers[2]: layer block_1.1.dense_1: needs one vector per example; put "
            "{type: flatten} before it (given block_1.1.block_1.1.reshape_1: [4, 8, 1])\n"
            "   17 |         - {type: dense, units: 32}\n"
            "      |           ^^^^^^^^^^^^^^^^^^^^^^^^",
        ),
        (
            deep("        - {type: dense, units: 32}\n", "        - {type: dense, units: 32, share: dense_1.weight}\n"),
            "digits.yaml:17:43: model.layers[1].layers[2].share: layer block_1.1.dense_1: share: its weight is "
            "[32, 32], "
            "and dense_1.weight is [32, 64]; only equal shapes can be shared\n"
            "   17 |         - {type: dense, units: 32, share: dense_1.weight}\n"
            "      |                                           ^^^^^^^^^^^^^^",
        ),
        (
            deep("repeat: 3", "repeat: 0"),
            "digits.yaml:9:15: model.layers[1].repeat: must be greater than 0, got 0\n"
            "    9 |       repeat: 0\n"
            "      |               ^",
        ),
        (
            deep("            - dropout\n", "            - {type: dense, units: 32, share: weight}\n"),
            "digits.yaml:16:47: model.layers[1].layers[1].layers[1].share: must be a layer's name and its parameter's, "
            "such as dense_1.weight, got 'weight'\n"
            "   16 |             - {type: dense, units: 32, share: weight}\n"
            "      |                                               ^^^^^^",
        ),
    ],
)
def test_a_mistake_in_a_nested_layer_is_shown_at_its_place(text, said):
    assert message(text) == said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.layers.1.layers.1.layers.0.units=0", "must be greater than 0, got 0"),
        (
            "model.layers.1.layers[2].units=31",
            "model.layers[1]: layer block_1.1: a residual block adds its input to the output of its layers, and "
            "block_1.1.dense_1 has another shape; end its layers with {type: dense, units: 32}, or put "
            "{type: dense, units: 31} before the block (given dense_1: [32], block_1.1.dense_1: [31])",
        ),
        ("model.layers.1.repeats=2", "unknown key; did you mean 'repeat'?"),
    ],
)
def test_overrides_into_a_block(override, said):
    if override.endswith("=31"):
        said = f"digits.yaml:8:7: {said}\n    8 |     - type: block\n      |       ^^^^"
        assert message(DEEP, override) == said
    else:
        assert message(DEEP, override) == f"override {override}: {said}"


def test_an_override_of_a_nested_layer(tmp_path):
    config = load_config(write(tmp_path, DEEP), ["model.layers.1.layers.1.layers.0.units=7", "model.layers.1.repeat=2"])
    block = config.config.model.layers[1]
    assert (block.layers[1].layers[0].units, block.repeat) == (7, 2)


def test_names_and_inputs_are_written_out_and_read_again(tmp_path):
    loaded = load_config(write(tmp_path, DEEP))
    tree = resolved_tree(loaded)
    inner = tree["model"]["layers"][1]["layers"][1]
    assert inner == {
        "type": "block",
        "name": "block_1",
        "inputs": ["layer_norm_1"],
        "repeat": 1,
        "residual": False,
        "trainable": True,
        "layers": [
            {
                "type": "dense",
                "name": "dense_1",
                "inputs": ["input"],
                "trainable": True,
                "activation": "relu",
                "units": 32,
                "bias": True,
                "initializer": {"type": "glorot_uniform", "gain": 1.0},
                "bias_initializer": "zeros",
                "parametrization": "standard",
            },
            {"type": "dropout", "name": "dropout_1", "inputs": ["dense_1"], "rate": 0.5, "schedule": "none"},
        ],
    }
    again = load_config(write(tmp_path, to_yaml(tree)))
    assert again.config.model == loaded.config.model
    assert from_tree(tree, base=tmp_path, label="x").config.model == loaded.config.model


def test_sharing_and_penalties_are_written_out_where_they_are_set(tmp_path):
    text = deep(
        "        - {type: dense, units: 32}\n",
        "        - {type: dense, units: 32, share: {bias: dense_1.bias}, regularization: {l2: 0.1}}\n",
    )
    tree = resolved_tree(load_config(write(tmp_path, text)))
    layer = tree["model"]["layers"][1]["layers"][2]
    assert (layer["share"], layer["regularization"]) == ({"bias": "dense_1.bias"}, {"l1": 0.0, "l2": 0.1})
    assert load_config(write(tmp_path, to_yaml(tree))).config.model == load_config(write(tmp_path, text)).config.model
    assert "share" not in tree["model"]["layers"][0]


def test_the_schema_lets_blocks_hold_blocks():
    definitions = json_schema()["$defs"]
    items = definitions["layers.block"]["properties"]["layers"]["items"]
    assert {"$ref": "#/$defs/layers.block"} in items["anyOf"][1]["oneOf"]


def test_a_softmax_at_the_end_of_a_block_is_there_twice(tmp_path):
    text = deep(
        "    - {type: dense, units: 10}\n",
        "    - type: block\n      layers: [{type: dense, units: 10, activation: softmax}]\n",
    )
    (warning,) = config_warnings(load_config(write(tmp_path, text)))
    assert warning == (
        f"{tmp_path}/digits.yaml:19:53: model.layers[2].layers[0].activation: cross_entropy already applies "
        "softmax, so it would be applied twice; remove it here"
    )


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (
            "[{type: dense, units: 10, trainable: false}]",
            "the network has no parameters to train: all layers that have some are frozen; set trainable: true",
        ),
        ("[{type: reshape, shape: [64]}]", "the network has no parameters to train: add {type: dense, units: ...}"),
    ],
)
def test_nothing_to_train(layers, said):
    text = DEEP[: DEEP.index("  layers:\n")] + f"  layers: {layers}\nloss: mean_squared_error\n"
    assert message(text).splitlines()[0] == f"digits.yaml:6:11: model.layers: {said}"


def test_batches_of_one_example_have_no_variance(tmp_path):
    text = deep("        - layer_norm\n", "        - batch_norm\n") + "training: {batch_size: 1}\n"
    (warning,) = config_warnings(load_config(write(tmp_path, text)))
    assert warning == (
        f"{tmp_path}/digits.yaml:20:24: training.batch_size: batch_norm cannot normalize over a batch of one "
        "example; use larger batches, or layer_norm"
    )
