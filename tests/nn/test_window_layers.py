"""Convolution, pooling and upsampling: PyTorch's stored numbers, and what is said of shapes that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from nn_support import build, distance, evaluate, inputs, label

from backprop_cli import autodiff as ad
from backprop_cli.execution.passes import simplified
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.model import LayerShapeError, Model

CASES = json.loads(Path(__file__).with_name("torch_windows.json").read_text())
SAME = 1e-9


def _named(case):
    return label({"type": case["type"], **case["settings"], "shape": tuple(case["shape"])})


def _traced(case):
    """The layer's output with the stored parameters, its inputs by name, and the arrays for them."""
    layer, shape = build(LAYERS, {"type": case["type"], **case["settings"]}), tuple(case["shape"])
    params = layer.params(ad.Spec(shape, np.dtype("float64")))
    assert params.keys() == case["params"].keys()
    arrays = {name: np.reshape(case["params"][name], param.shape) for name, param in params.items()}
    values, feed = inputs(x=np.reshape(case["x"], shape), **arrays)
    return layer.apply({name: values[name] for name in params}, values["x"]), values, feed


@pytest.mark.parametrize("case", CASES, ids=map(_named, CASES))
@pytest.mark.parametrize("is_simplified", [False, True])
def test_numbers_of_pytorch(case, is_simplified):
    out, values, feed = _traced(case)
    ct = ad.constant(np.reshape(case["ct"], out.shape))
    wanted = [out, *ad.gradients(ad.sum(out * ct), list(values.values()))]
    found, *slopes = evaluate(simplified(wanted) if is_simplified else wanted, feed)
    assert distance(found, np.reshape(case["out"], found.shape)) < SAME
    expected = {"x": case["x_bar"], **case["gradients"]}
    for name, slope in zip(values, slopes, strict=True):
        assert distance(slope, np.reshape(expected[name], slope.shape)) < SAME, name


def test_same_padding_with_stride_gives_as_many_outputs_as_strides_fit():
    for size in range(1, 8):
        for stride in (1, 2, 3):
            layer = build(LAYERS, {"type": "conv1d", "channels": 1, "kernel": 3, "stride": stride, "padding": "same"})
            spec = ad.Spec((1, 1, size), np.dtype("float64"))
            values = {name: ad.input_(name, param.shape) for name, param in layer.params(spec).items()}
            assert layer.apply(values, ad.input_("x", spec.shape)).shape == (1, 1, -(-size // stride))


@pytest.mark.parametrize(
    ("settings", "shape", "fans"),
    [
        ({"type": "conv2d", "channels": 6, "kernel": [2, 3]}, (4, 5, 5), (24, 36)),
        ({"type": "conv2d", "channels": 6, "kernel": 3, "groups": 2}, (4, 5, 5), (18, 27)),
        ({"type": "conv1d", "channels": 6, "kernel": 5}, (4, 5), (20, 30)),
        ({"type": "conv2d_transpose", "channels": 6, "kernel": 2}, (4, 5, 5), (16, 24)),
    ],
)
def test_fans_are_numbers_that_a_weight_connects(settings, shape, fans):
    weight = build(LAYERS, settings).params(ad.Spec((2, *shape), np.dtype("float64")))["weight"]
    assert (weight.fan_in, weight.fan_out) == fans


IMAGES = "needs images (channels, height, width), channels first; set model.input, as in model.input: [1, 28, 28]"
EITHER = (
    "needs images (channels, height, width) or sequences (channels, length), channels first; "
    "set model.input, as in model.input: [1, 28, 28] or [1, 28]"
)
RESHAPE = ", or put {type: reshape, shape: ...} before it"

MESSAGES = [
    (
        {"type": "conv2d", "channels": 2, "kernel": 3},
        (784,),
        f"layer conv2d_1: {IMAGES}{RESHAPE} (given input: [784])",
    ),
    (
        {"type": "conv1d", "channels": 2, "kernel": 3},
        (1, 8, 8),
        "layer conv1d_1: needs sequences (channels, length), channels first; set model.input, "
        f"as in model.input: [1, 28]{RESHAPE} (given input: [1, 8, 8])",
    ),
    ({"type": "max_pool", "kernel": 3}, (8,), f"layer max_pool_1: {EITHER}{RESHAPE} (given input: [8])"),
    ({"type": "global_max_pool"}, (8,), f"layer global_max_pool_1: {EITHER}{RESHAPE} (given input: [8])"),
    ({"type": "upsample", "factor": 2}, (8,), f"layer upsample_1: {EITHER}{RESHAPE} (given input: [8])"),
    (
        {"type": "conv2d", "channels": 2, "kernel": 5},
        (28, 28, 1),
        "layer conv2d_1: kernel [5, 5] is larger than [28, 1] with its padding; take a smaller kernel, or more padding "
        "(channels come first, as in model.input: [1, 28, 28]) (given input: [28, 28, 1])",
    ),
    (
        {"type": "conv1d", "channels": 2, "kernel": 3, "dilation": 4},
        (1, 8),
        "layer conv1d_1: kernel [3], dilated to [9], is larger than [8] with its padding; take a smaller kernel, or "
        "more padding (channels come first, as in model.input: [1, 28]) (given input: [1, 8])",
    ),
    (
        {"type": "conv2d", "channels": 4, "kernel": 1, "groups": 2},
        (3, 2, 2),
        "layer conv2d_1: groups 2 do not divide 3 input channels; take 1 (given input: [3, 2, 2])",
    ),
    (
        {"type": "conv2d_transpose", "channels": 3, "kernel": 1, "groups": 2},
        (4, 2, 2),
        "layer conv2d_transpose_1: groups 2 do not divide 3 output channels; take 1 (given input: [4, 2, 2])",
    ),
    (
        {"type": "conv2d_transpose", "channels": 3, "kernel": 1, "stride": 2, "output_padding": [1, 2]},
        (4, 2, 2),
        "layer conv2d_transpose_1: output_padding [1, 2] must be less than stride [2, 2] or dilation [1, 1] "
        "(given input: [4, 2, 2])",
    ),
    (
        {"type": "conv2d_transpose", "channels": 3, "kernel": 1, "padding": 1},
        (4, 2, 3),
        "layer conv2d_transpose_1: padding [1, 1] cuts off all of [2, 3]; take a smaller one (given input: [4, 2, 3])",
    ),
    (
        {"type": "max_pool", "kernel": [2, 2]},
        (1, 8),
        "layer max_pool_1: kernel [2, 2]: sequences take one number (given input: [1, 8])",
    ),
    (
        {"type": "average_pool", "kernel": 2, "padding": [1, 2]},
        (1, 8, 8),
        "layer average_pool_1: padding [1, 2] must be at most half of the kernel [2, 2] (given input: [1, 8, 8])",
    ),
    (
        {"type": "max_pool", "kernel": 3},
        (1, 8, 2),
        "layer max_pool_1: kernel [3, 3] is larger than [8, 2] with its padding; take a smaller kernel, or more "
        "padding (channels come first, as in model.input: [1, 28, 28]) (given input: [1, 8, 2])",
    ),
]


@pytest.mark.parametrize(("settings", "shape", "message"), MESSAGES, ids=[label(m[0]) for m in MESSAGES])
def test_shapes_that_do_not_fit(settings, shape, message):
    with pytest.raises(LayerShapeError) as error:
        Model.build([build(LAYERS, settings)], shape)
    assert str(error.value) == message


def test_a_number_for_another_number_of_axes():
    settings = {"type": "conv2d", "channels": 1, "kernel": [3, 3, 3]}
    with pytest.raises(ValueError, match="at most 2"):
        build(LAYERS, settings)


def _step(layers, shape):
    """The ops of a simplified training step of a network, by name."""
    model = Model.build([build(LAYERS, settings) for settings in layers], shape)
    x = ad.input_("input", (4, *shape))
    params = {name: ad.input_(name, param.shape) for name, param in model.params.items()}
    loss = ad.sum(ad.square(model.apply(params, x)))
    return [node.op.kind for node in ad.toposort(simplified(ad.gradients(loss, list(params.values())))) if node.op]


def test_nothing_is_moved_between_layers_of_images():
    layers = [
        {"type": "conv2d", "channels": 3, "kernel": 3, "activation": "relu"},
        {"type": "max_pool", "kernel": 2},
        {"type": "conv2d", "channels": 2, "kernel": 2, "padding": "same", "activation": "tanh"},
        {"type": "average_pool", "kernel": 2},
        {"type": "flatten"},
        {"type": "dense", "units": 3},
    ]
    kinds = _step(layers, (1, 10, 10))
    assert kinds.count("copy") == 1  # of the examples
    assert kinds.count("convolution") == kinds.count("convolution_weight") == 2
    assert kinds.count("convolution_transpose") == 1  # nobody asks for that of the examples
    assert kinds.count("transpose") == 6  # the examples; flatten there and back; three of matrices of dense


def test_nothing_is_moved_where_arrows_join_and_noise_is_multiplied():
    layers = [
        {"type": "conv2d", "channels": 2, "kernel": 3, "padding": "same", "bias": False},
        {"type": "batch_norm"},
        {"type": "activation", "function": "relu"},
        {"type": "dropout", "rate": 0.5},
        {"type": "conv2d", "channels": 2, "kernel": 3, "padding": "same", "activation": "gelu"},
        {"type": "concat", "inputs": ["conv2d_2", "activation_1"], "axis": 0},
        {"type": "conv2d", "channels": 3, "kernel": 3, "stride": 2, "activation": "tanh"},
        {"type": "global_average_pool"},
    ]
    model = Model.build([build(LAYERS, settings) for settings in layers], (1, 8, 8))
    params = {name: ad.input_(name, param.shape) for name, param in model.params.items()}
    noise = {name: ad.input_(name, spec.shape) for name, spec in model.noise(4).items()}
    loss = ad.sum(ad.square(model.apply(params, ad.input_("input", (4, 1, 8, 8)), noise)))
    nodes = ad.toposort(simplified(ad.gradients(loss, list(params.values()))))
    assert [node.op.kind for node in nodes if node.op].count("copy") == 1  # of the examples
    batch_first = {node.op.kind for node in nodes if node.op and node.shape[:1] == (4,) and node.ndim == 4}
    assert batch_first == {"greater_equal", "multiply"}  # what is made of the noise
