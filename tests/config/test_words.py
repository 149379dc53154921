"""Words of other libraries and numbers as people write them: what is said instead, by the whole text."""

import pytest
from config_support import DIGITS, message

from backprop_cli.config.configuration import Config
from backprop_cli.config.fields import known_keys
from backprop_cli.config.number_notation import respelled
from backprop_cli.errors import did_you_mean
from backprop_cli.nn.layer import LAYERS

WITH_UNITS = ", ".join(sorted(name for name, layer in LAYERS.items() if "units" in layer.model_fields))


def said(override):
    return message(DIGITS, override).removeprefix(f"override {override}: ").split("\n")[0]


@pytest.mark.parametrize(
    ("layer", "key", "way"),
    [
        ("dense, units: 3", "filters", "did you mean 'units'?"),
        ("dense, units: 3", "size", "did you mean 'units'?"),
        ("dense, units: 3", "out_features", "did you mean 'units'?"),
        ("dense, units: 3", "hidden_size", "did you mean 'units'?"),
        ("dense, units: 3", "dropout", "dropout is a layer of its own: {type: dropout, rate: ...}"),
        ("dense, units: 3", "num_layers", "repeat the layer, or use a block with repeat"),
        (
            "dense, units: 3",
            "in_features",
            "it follows from the layer's input; leave it out (the shape of one example is model.input)",
        ),
        ("conv2d, channels: 3, kernel: 3", "filters", "did you mean 'channels'?"),
        ("conv2d, channels: 3, kernel: 3", "units", "did you mean 'channels'?"),
        ("conv2d, channels: 3, kernel: 3", "out_channels", "did you mean 'channels'?"),
        ("conv2d, channels: 3, kernel: 3", "size", "did you mean 'kernel'?"),
        ("max_pool, kernel: 2", "pool_size", "did you mean 'kernel'?"),
        ("dropout, rate: 0.1", "p", "did you mean 'rate'?"),
        ("lstm, units: 3", "hidden_size", "did you mean 'units'?"),
        ("lstm, units: 3", "num_layers", "did you mean 'layers'?"),
        ("lstm, units: 3", "return_sequences", "write output: sequence, or output: last"),
        ("flatten", "activation", "here an activation is a layer of its own: {type: activation, function: ...}"),
        ("batch_norm", "eps", "did you mean 'epsilon'?"),
    ],
)
def test_a_key_of_a_layer(layer, key, way):
    override = f"model.layers.1={{type: {layer}, {key}: 2}}"
    assert said(override) == f"model.layers[1].{key}: unknown key; {way}"


@pytest.mark.parametrize(
    ("override", "way"),
    [
        ("optimizer.lr=1", "did you mean 'learning_rate'?"),
        ("optimizer.eps=1", "did you mean 'epsilon'?"),
        ("optimizer.momentum=1", "did you mean 'beta1'?"),
        ("optimizer.betas=[0.9, 0.99]", "did you mean 'beta1' and 'beta2'?"),
        ("optimizer.nesterov=true", "use type: nadam"),
        ("optimizer.weight_decay=1", "use type: adamw, which has weight_decay"),
        ("optimizer.clipnorm=1", "did you mean 'training.clip_norm'?"),
        ("training.batch=1", "did you mean 'batch_size'?"),
        ("training.batchsize=1", "did you mean 'batch_size'?"),
        ("training.num_epochs=1", "did you mean 'epochs'?"),
        ("training.lr=1", "did you mean 'optimizer.learning_rate'?"),
        ("lr=1", "did you mean 'optimizer.learning_rate'?"),
        ("numeric=none", "did you mean 'data.transform.numeric'?"),
        ("units=3", f"it is a key of layers: {WITH_UNITS}"),
        ("criterion=mse", "did you mean 'loss'?"),
        ("random_state=1", "did you mean 'seed'?"),
        ("metric=1", "did you mean 'metrics'?"),
        ("layer=1", "did you mean 'model.layers'?"),
        ("max_step=3", "did you mean 'training.max_steps'?"),
    ],
)
def test_a_key_of_a_section(override, way):
    assert said(override) == f"unknown key; {way}"


@pytest.mark.parametrize("section", ["", "data", "model", "training", "regularization", "early_stopping", "checkpoint"])
def test_a_key_in_its_other_number(section):
    tree, place = ({section: {}}, (section,)) if section else ({}, ())
    keys = known_keys(Config, tree, place)
    others = {key: key.removesuffix("s") if key.endswith("s") else f"{key}s" for key in keys}
    for key, other in others.items():
        if other not in keys:
            assert said(f"{'.'.join((*place, other))}=1") == f"unknown key; did you mean '{key}'?"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("model.layers.1=Linear", "unknown layer 'Linear'; did you mean 'dense'?"),
        ("model.layers.1=Dense", "unknown layer 'Dense'; did you mean 'dense'?"),
        ("model.layers.1=Conv2D", "unknown layer 'Conv2D'; did you mean 'conv2d'?"),
        ("model.layers.1=MaxPooling2D", "unknown layer 'MaxPooling2D'; did you mean 'max_pool'?"),
        ("model.layers.1=ReLU", "unknown layer 'ReLU'; that is an activation: {type: activation, function: relu}"),
        (
            "model.layers.1=Bidirectional",
            "unknown layer 'Bidirectional'; write {type: lstm, bidirectional: true, units: ...}",
        ),
        ("loss=CrossEntropyLoss", "unknown loss 'CrossEntropyLoss'; did you mean 'cross_entropy'?"),
        ("loss=BCEWithLogitsLoss", "unknown loss 'BCEWithLogitsLoss'; did you mean 'binary_cross_entropy'?"),
        ("loss=MSELoss", "unknown loss 'MSELoss'; did you mean 'mean_squared_error'?"),
        ("loss=mse", "unknown loss 'mse'; did you mean 'mean_squared_error'?"),
        ("loss=mae", "unknown loss 'mae'; did you mean 'mean_absolute_error'?"),
        (
            "loss=sparse_categorical_crossentropy",
            "unknown loss 'sparse_categorical_crossentropy'; did you mean 'cross_entropy'?",
        ),
        ("optimizer=AdamW", "unknown optimizer 'AdamW'; did you mean 'adamw'?"),
        ("optimizer=momentum", "unknown optimizer 'momentum'; write {type: sgd, momentum: 0.9}"),
        ("schedule=ReduceLROnPlateau", "unknown schedule 'ReduceLROnPlateau'; did you mean 'plateau'?"),
        ("metrics=[acc]", "metrics[0]: unknown metric 'acc'; did you mean 'accuracy'?"),
        (
            "model.layers.1={type: max_pool, kernel: 2, padding: same}",
            "model.layers[1].padding: expected an integer or a list, got 'same' (text); "
            "write how many elements are added on each side",
        ),
    ],
)
def test_a_type_or_a_value(override, reason):
    assert said(override) == reason


@pytest.mark.parametrize(
    ("text", "number", "integer"),
    [
        ("0,01", ["0.01"], []),
        ("0,001", ["0.001"], []),
        ("12,5", ["12.5"], []),
        ("1,000", ["1000", "1.000"], ["1000"]),
        ("1,000,000", ["1000000"], ["1000000"]),
        ("1.000.000", ["1000000"], ["1000000"]),
        ("1.000,5", ["1000.5"], []),
        ("1,000.5", ["1000.5"], []),
        ("1 000", ["1000"], ["1000"]),
        ("1\u202f000", ["1000"], ["1000"]),
        ("1'000", ["1000"], ["1000"]),
        ("1_000", ["1000"], ["1000"]),
        ("50%", ["0.5"], []),
        ("12,5 %", ["0.125"], []),
        ("1e-3f", ["1e-3"], []),
        ("1,5e-3", ["1.5e-3"], []),
        ("1d-3", ["1e-3"], []),
        ("10^-3", ["1e-3"], []),
        ("5*10**-4", ["5e-4"], []),
        ("1/4", ["0.25"], []),
        ("1/0", [], []),
        ("\u22121e-3", ["-1e-3"], []),
        ("1,00,000", [], []),
        ("1,5,3", [], []),
        ("1e400", [], []),
        ("abc", [], []),
        ("1..5", [], []),
        ("9" * 2000, [], []),
    ],
)
def test_a_number_written_in_another_way(text, number, integer):
    assert respelled(text, integer=False) == number
    assert respelled(text, integer=True) == integer


def test_numbers_in_a_message():
    assert said("optimizer.learning_rate=0,01") == "expected a number, got '0,01' (text); write 0.01"
    assert said("optimizer.learning_rate=1,000") == "expected a number, got '1,000' (text); write 1000 or 1.000"
    assert said("training.epochs=1,000") == "expected an integer, got '1,000' (text); write 1000"
    text = message(DIGITS, "optimizer={type: adam, learning_rate: 0,5}")
    assert "optimizer[5]: unknown key; write decimals with a point: a comma ends the value" in text


def test_a_suggestion_is_never_the_mistake():
    assert did_you_mean("seed", ["seed"]) == ""
    assert did_you_mean("Seed", ["seed"]) == "; did you mean 'seed'?"
    assert did_you_mean("seed" * 100, ["seed" * 100 + "x"]) == ""
