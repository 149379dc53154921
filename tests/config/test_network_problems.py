"""Mistakes of the network, at the lines of its layers."""

import sys

import pytest
from config_support import DIGITS, changed, message, write

from backprop_cli.config import network_problems
from backprop_cli.config.load import load_config
from backprop_cli.config.network_problems import check_model
from backprop_cli.errors import ConfigError, path_text
from backprop_cli.memory import installed, size_text

LAST = "    - {type: dense, units: 10}\n"


def said_later(folder, text, outputs, input_shape=(64,)):
    loaded = load_config(write(folder, text))
    with pytest.raises(ConfigError) as caught:
        check_model(loaded, input_shape, outputs)
    (problem,) = caught.value.problems
    assert problem.line is not None
    return f"{path_text(problem.path)}: {problem.message}"


def test_a_shape_that_does_not_fit_names_the_layer_and_its_line():
    text = changed("input: [64]", "input: [1, 8, 8]")
    assert message(text) == (
        "digits.yaml:7:7: model.layers[0]: layer dense_1: needs one vector per example; put {type: flatten} before it "
        "(given input: [1, 8, 8])\n"
        "    7 |     - {type: dense, units: 64, activation: relu}\n"
        "      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    )


def test_arrows_that_do_not_connect_are_all_told_at_once():
    text = changed(
        LAST, "    - {type: add, inputs: [dense_1, dens_1]}\n    - {type: dense, units: 10, inputs: later}\n"
    )
    assert message(text) == (
        "digits.yaml:9:27: model.layers[2].inputs: layer add_1: inputs: unknown layer 'dens_1'; did you mean "
        "'dense_1'?\n"
        "    9 |     - {type: add, inputs: [dense_1, dens_1]}\n"
        "      |                           ^^^^^^^^^^^^^^^^^\n"
        "digits.yaml:10:40: model.layers[3].inputs: layer dense_2: inputs: unknown layer 'later'; known: input, "
        "dense_1, "
        "dropout_1, add_1\n"
        "   10 |     - {type: dense, units: 10, inputs: later}\n"
        "      |                                        ^^^^^"
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.layers.2.name=input", "layer name 'input' stands for the example; choose another"),
        (
            "model.layers.2.name=dense_1",
            "layer name 'dense_1' is used twice, by layers[0] and layers[2]; choose another",
        ),
        (
            "model.layers.0.inputs=dense_2",
            "layer dense_1: inputs: the layers read each other in a circle: dense_1 -> dropout_1 -> dense_2 -> "
            "dense_1; a layer reads the layers above it",
        ),
        ("model.layers.0.inputs=dense_1", "layer dense_1: inputs: a layer cannot read itself"),
        (
            "model.layers.1=add",
            "model.layers[1].inputs: layer add_1: needs 2 or more inputs, has 1 (dense_1); name them: inputs: "
            "[..., ...]",
        ),
        (
            "model.layers.2.units=1",
            "the network has 1 output, but cross_entropy needs one a class; set units to the number of classes, or use "
            "loss: binary_cross_entropy",
        ),
    ],
)
def test_an_override_of_a_layer(override, said):
    assert message(DIGITS, override) == f"override {override}: {said}"


def test_a_layer_that_nothing_reads():
    assert message(changed("units: 10}", "units: 10, inputs: dense_1}")) == (
        "digits.yaml:8:7: model.layers[1].inputs: layer dropout_1: no layer reads it; name it in the inputs of a layer "
        "below, or remove it\n"
        "    8 |     - {type: dropout, rate: 0.2}\n"
        "      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^"
    )


def test_a_network_that_fits(tmp_path):
    loaded = load_config(write(tmp_path))
    model = check_model(loaded, (64,), 10)
    assert model.output_shape == (10,)
    assert model.dtype == "float32"
    assert check_model(load_config(write(tmp_path), ["training.precision=float64"]), (64,)).dtype == "float64"


@pytest.mark.parametrize(
    ("last", "outputs", "said"),
    [
        (
            "    - {type: dense, units: 5}\n",
            10,
            "model.layers[2].units: the network has 5 outputs, but the data has 10 classes; set units: 10",
        ),
        (
            "    - {type: dense, units: 5}\n    - dropout\n    - {type: activation, function: tanh}\n",
            10,
            "model.layers[2].units: the network has 5 outputs, but the data has 10 classes; set units: 10",
        ),
        (
            "    - {type: dense, units: 4, name: a}\n    - {type: dense, units: 1, name: b, inputs: dropout_1}\n"
            "    - {type: concat, inputs: [a, b]}\n",
            3,
            "model.layers[4]: the network has 5 outputs, but the data has 3 classes; end the network with "
            "{type: dense, "
            "units: 3}",
        ),
        (
            "    - {type: reshape, shape: [8, 8]}\n",
            10,
            "model.layers[2]: the network's output has the shape [8, 8], but cross_entropy needs a row of numbers an "
            "example; end the network with {type: flatten} and {type: dense, units: 10}",
        ),
        (
            "    - {type: reshape, shape: [8, 8]}\n",
            64,
            "model.layers[2]: the network's output has the shape [8, 8], but cross_entropy needs a row of numbers an "
            "example; end the network with {type: flatten}",
        ),
    ],
)
def test_outputs_that_the_data_does_not_have(tmp_path, last, outputs, said):
    text = changed(LAST, last.replace("- dropout\n", "- {type: dropout, rate: 0.1}\n")).replace("  input: [64]\n", "")
    assert said_later(tmp_path, text, outputs) == said


def test_one_output_for_two_classes(tmp_path):
    text = changed("units: 10", "units: 1").replace("  input: [64]\n", "")
    assert said_later(tmp_path, text, 2) == (
        "model.layers[2].units: the network has 1 output, but the data has 2 classes; set units: 2, or use loss: "
        "binary_cross_entropy"
    )


def test_a_decoder_of_images_is_flattened():
    layers = "    - {type: reshape, shape: [1, 8, 8]}\n    - {type: conv2d, channels: 1, kernel: 1}\n"
    text = DIGITS.replace("target: digit", "target: features").replace(LAST, layers)
    assert message(text.replace("cross_entropy", "mean_squared_error")).splitlines()[0] == (
        "digits.yaml:10:7: model.layers[3]: the network's output has the shape [1, 8, 8], but mean_squared_error needs "
        "a row of numbers an example; end the network with {type: flatten}"
    )


@pytest.mark.parametrize("loss", ["cosine_similarity", "kl_divergence"])
def test_a_loss_that_compares_rows_of_one_number(loss):
    text = changed("units: 10", "units: 1").replace("cross_entropy", loss)
    assert message(text) == (
        f"digits.yaml:10:7: loss: {loss} compares rows of 2 numbers or more, but the network has 1 output; use a loss "
        "for one number, such as mean_squared_error\n"
        f"   10 | loss: {loss}\n"
        f"      |       {'^' * len(loss)}"
    )


def test_outputs_for_columns(tmp_path):
    text = changed("loss: cross_entropy", "loss: mean_squared_error")
    assert said_later(tmp_path, text, 1) == (
        "model.layers[2].units: the network has 10 outputs, but the data has 1 target column; set units: 1"
    )


def test_more_parameters_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(network_problems, "installed", lambda: 8 << 30)
    text = changed("units: 64", "units: 1000000000000")
    assert message(text) == (
        "digits.yaml:7:28: model.layers[0].units: layer dense_1: the network's parameters up to here take 236.4 TiB, "
        "and this machine has 8.0 GiB of memory; make the layer smaller\n"
        "    7 |     - {type: dense, units: 1000000000000, activation: relu}\n"
        "      |                            ^^^^^^^^^^^^^"
    )
    assert message(DIGITS, f"model.layers.0.units={10**26}") == (
        f"override model.layers.0.units={10**26}: layer dense_1: the network's parameters up to here take more than "
        "10,000 YiB, and this machine has 8.0 GiB of memory; make the layer smaller"
    )


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("float64", 8)])
def test_memory_counts_all_layers_in_the_training_precision(tmp_path, monkeypatch, precision, size):
    override = f"training.precision={precision}"
    parameters = 65 * 64 + 65 * 10
    monkeypatch.setattr(network_problems, "installed", lambda: size * parameters)
    load_config(write(tmp_path), [override])
    monkeypatch.setattr(network_problems, "installed", lambda: size * parameters - 1)
    wanted = size_text(size * parameters)
    there = size_text(size * parameters - 1)
    assert message(DIGITS, override) == (
        f"digits.yaml:9:28: model.layers[2].units: layer dense_2: the network's parameters up to here take {wanted}, "
        f"and this machine has {there} of memory; make the layer smaller\n"
        "    9 |     - {type: dense, units: 10}\n"
        "      |                            ^^"
    )


def test_the_memory_of_a_system_that_does_not_say(monkeypatch):
    assert installed() > 1 << 20
    monkeypatch.delattr("os.sysconf")
    assert installed() == sys.maxsize


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 30) - 1, "1023.9 MiB"),
        (1 << 30, "1.0 GiB"),
        (9999 << 80, "9999.0 YiB"),
        (10**900, "more than 10,000 YiB"),
    ],
)
def test_bytes_as_text(count, said):
    assert size_text(count) == said


def test_shapes_known_only_from_the_data(tmp_path):
    text = DIGITS.replace("  input: [64]\n", "")
    assert said_later(tmp_path, text, 10, (1, 8, 8)) == (
        "model.layers[0]: layer dense_1: needs one vector per example; put {type: flatten} before it (given "
        "input: [1, 8, 8])"
    )
