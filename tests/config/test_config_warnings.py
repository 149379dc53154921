"""What a configuration hardly means."""

import pytest
from config_support import DIGITS, changed, write

from backprop_cli.config.config_warnings import config_warnings
from backprop_cli.config.load import load_config

END = "    - {type: dense, units: 10}\n"
TABLE = DIGITS.replace("  input: [64]\n", "")


def said(folder, text, *overrides):
    write(folder, text)
    return config_warnings(load_config("digits.yaml", overrides))


def test_nothing_to_say(tmp_path):
    assert said(tmp_path, DIGITS) == []
    assert said(tmp_path, DIGITS, "model.layers.0.activation=softmax", "model.layers.2.activation=sigmoid") == []
    autoencoder = ("data.target=features", "data.features=[a, b]", "loss=mean_squared_error")
    assert said(tmp_path, TABLE, *autoencoder) == []
    assert said(tmp_path, TABLE, "data.target=[b, a]", *autoencoder[1:]) == []


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_cross_entropy_applied_twice(tmp_path, function):
    text = changed(END, f"    - {{type: dense, units: 10, activation: {function}}}\n")
    assert said(tmp_path, text) == [
        f"digits.yaml:9:44: model.layers[2].activation: cross_entropy already applies {function}, so it would be "
        "applied twice; remove it here"
    ]


@pytest.mark.parametrize("last", ["flatten", "{type: dropout, rate: 0.1}"])
def test_a_layer_of_its_own_before_layers_that_pass_it_on(tmp_path, last):
    text = changed(END, END + f"    - {{type: activation, function: softmax}}\n    - {last}\n")
    assert said(tmp_path, text) == [
        "digits.yaml:10:36: model.layers[3].function: cross_entropy already applies softmax, so it would be applied "
        "twice; remove it here"
    ]


def test_dropout_of_channels_passes_on_what_it_reads(tmp_path):
    end = "    - {type: reshape, shape: [2, 5]}\n    - {type: activation, function: softmax}\n"
    text = changed(END, END + end + "    - {type: spatial_dropout, rate: 0.1}\n    - flatten\n")
    assert said(tmp_path, text) == [
        "digits.yaml:11:36: model.layers[4].function: cross_entropy already applies softmax, so it would be applied "
        "twice; remove it here"
    ]


def test_binary_cross_entropy(tmp_path):
    override = "model.layers.2={type: dense, units: 1, activation: sigmoid}"
    assert said(tmp_path, DIGITS, "loss=binary_cross_entropy", override) == [
        f"override {override}: model.layers[2].activation: binary_cross_entropy already applies sigmoid, so it "
        "would be applied twice; remove it here"
    ]


@pytest.mark.parametrize("rate", ["1e-3", "0.01"])
def test_a_learning_rate_left_from_another_optimizer(tmp_path, rate):
    text = DIGITS.replace("    - {type: dropout, rate: 0.2}\n", "")
    override = f"optimizer={{type: lbfgs, learning_rate: {rate}}}"
    assert said(tmp_path, text, override) == [
        f"override {override}: optimizer.learning_rate: lbfgs tries a step of this length first, and such a short "
        "one makes it slow; leave it out (default: 1.0)"
    ]
    assert said(tmp_path, text, "optimizer={type: lbfgs, learning_rate: 0.5}") == []
    assert said(tmp_path, text, "optimizer=lbfgs") == []


def test_a_target_among_the_features(tmp_path):
    text = changed("  target: digit\n", "  target: digit\n  features: [pixel, digit]\n")
    assert said(tmp_path, text) == [
        "digits.yaml:4:21: data.features[1]: 'digit' is also the target, so the network sees what it should predict; "
        "remove it here"
    ]
