"""What can be told only with the data, by train and validate: training is too short for it, channels come last."""

import numpy as np
import pytest
from api_support import bp, write_config

ENDS = "before the slow weights move, and those are kept; set"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["lookahead.steps=13"], f"lookahead.steps=13: training ends after 12 steps, {ENDS} 12 or fewer"),
        (
            ["lookahead.steps=2", "training.max_steps=1"],
            f"lookahead.steps=2: training ends after 1 step, {ENDS} 1 or fewer",
        ),
        (
            ["average={type: ema, every: 13}"],
            "average={type: ema, every: 13}: training ends after 12 steps, before averaging starts, so the "
            "last weights are kept",
        ),
        (
            ["average={type: swa, from_epoch: 2}", "training.max_steps=7"],
            "average={type: swa, from_epoch: 2}: training ends after 7 steps, before averaging starts, so "
            "the last weights are kept",
        ),
    ],
)
def test_it_is_told(capsys, overrides, said):
    config = write_config()
    assert bp("validate", config, *overrides) == 0
    assert capsys.readouterr().err == f"warning: override {said}\n"
    assert bp("train", config, *overrides, "--quiet") == 0
    assert capsys.readouterr().err.splitlines() == [f"warning: override {said}"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["lookahead.steps=12"],
        ["average={type: ema, every: 12}"],
        ["average={type: swa, from_epoch: 2}", "training.max_steps=8"],
        ["average={type: swa, from_epoch: 3, every: 9}"],
        ["lookahead.steps=12", "training.epochs=0"],
    ],
)
def test_what_is_reached_is_not(capsys, overrides):
    assert bp("validate", write_config(), *overrides) == 0
    assert capsys.readouterr().err == ""


IMAGES = [
    {"type": "conv2d", "channels": 2, "kernel": 3, "padding": "same"},
    {"type": "flatten"},
    {"type": "dense", "units": 2},
]


def images(*shape):
    rng = np.random.default_rng(0)
    np.savez("images.npz", image=rng.random((20, *shape)), label=np.arange(20) % 2)
    return write_config(data={"source": "images.npz", "target": "label"}, model={"layers": IMAGES})


@pytest.mark.parametrize(
    ("channels", "fix"),
    [
        (1, "set model.input: [1, 8, 6]"),
        (3, "if its channels are the 3, save the array with them first, as numpy.moveaxis(images, -1, 1)"),
    ],
)
def test_channels_that_come_last(capsys, channels, fix):
    assert bp("validate", images(8, 6, channels)) == 0
    assert capsys.readouterr().err == (
        f"warning: flowers.yaml:6:5: model.layers[0]: layer conv2d_1 reads examples of the shape [8, 6, {channels}] "
        f"as 8 channels of 6 x {channels} pixels; {fix}\n"
    )


@pytest.mark.parametrize("override", ["model.input=[1, 8, 6]", "model.layers.0={type: flatten}"])
def test_channels_that_are_first_or_none(capsys, override):
    assert bp("validate", images(8, 6, 1), override) == 0
    assert capsys.readouterr().err == ""


SHARING = {"type": "dense", "units": 5, "share": "first.weight"}


def sharing(**more):
    layers = [{"type": "dense", "units": 5}, {"type": "dense", "units": 5, "name": "first"}, {**SHARING, **more}]
    return write_config(model={"layers": [*layers, {"type": "dense", "units": 3}]})


def test_an_initializer_that_starts_nothing(capsys):
    config = sharing(initializer="he_normal")
    said = "model.layers[2].initializer: initializes nothing, because layer dense_3 shares first.weight; set it there\n"
    assert bp("validate", config) == 0
    assert capsys.readouterr().err.endswith(said)
    assert bp("train", config, "--quiet", "--run-dir", "run") == 0
    assert capsys.readouterr().err.endswith(said)


@pytest.mark.parametrize(
    "more",
    [
        {"initializer": "glorot_uniform"},  # as it is anyway, and as config.resolved.yaml writes it
        {"bias_initializer": "ones"},
        {"share": None, "initializer": "he_normal"},
    ],
)
def test_an_initializer_that_starts_something(capsys, more):
    assert bp("validate", sharing(**more)) == 0
    assert capsys.readouterr().err == ""


def test_an_initializer_of_repeats_that_share_with_the_first(capsys):
    inner = {"type": "dense", "units": 5, "initializer": "he_normal", "share": "block_1.1.dense_1.weight"}
    block = {"type": "block", "repeat": 3, "layers": [inner]}
    layers = [{"type": "dense", "units": 5}, block, {"type": "dense", "units": 3}]
    assert bp("validate", write_config(model={"layers": layers})) == 0
    assert capsys.readouterr().err == ""


def test_an_input_that_would_mix_up_an_array(capsys):
    assert bp("validate", images(8, 6, 3), "model.input=[3, 8, 6]") == 2
    assert capsys.readouterr().err == (
        "override model.input=[3, 8, 6]: [3, 8, 6] would mix up examples of images.npz, which have the shape "
        "[8, 6, 3]; write [8, 6, 3], or save the array with the axes of each example in the order of [3, 8, 6]\n"
        "1 problem; nothing was run.\n"
    )
