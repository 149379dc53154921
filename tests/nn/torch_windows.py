"""Write torch_windows.json: PyTorch's numbers of layers that slide windows, so that the tests need no PyTorch.

python tests/nn/torch_windows.py      (with PyTorch installed; the stored numbers are of 2.13)
"""

import json
from pathlib import Path

import torch
from torch.nn import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    MaxPool1d,
    MaxPool2d,
    Upsample,
)

torch.set_default_dtype(torch.float64)

CASES = [
    ("conv1d", {"kernel": 3, "padding": "same"}, (2, 2, 5), Conv1d(2, 3, 3, padding="same")),
    ("conv1d", {"kernel": 4, "padding": "same"}, (2, 1, 5), Conv1d(1, 3, 4, padding="same")),
    (
        "conv1d",
        {"kernel": 2, "stride": 2, "padding": 2, "dilation": 3, "groups": 3},
        (1, 3, 7),
        Conv1d(3, 3, 2, 2, 2, 3, 3),
    ),
    ("conv2d", {"kernel": 3}, (2, 2, 4, 5), Conv2d(2, 3, 3)),
    ("conv2d", {"kernel": [2, 3], "padding": "same", "dilation": 2}, (2, 1, 4, 5), Conv2d(1, 3, (2, 3), 1, "same", 2)),
    ("conv2d", {"kernel": 3, "stride": [2, 1], "padding": [2, 1]}, (1, 2, 5, 4), Conv2d(2, 3, 3, (2, 1), (2, 1))),
    (
        "conv2d",
        {"kernel": 2, "stride": 3, "dilation": 2, "bias": False},
        (2, 1, 7, 6),
        Conv2d(1, 3, 2, 3, 0, 2, 1, False),
    ),
    ("conv2d", {"kernel": 3, "padding": 1, "groups": 3}, (2, 3, 3, 2), Conv2d(3, 3, 3, 1, 1, groups=3)),
    ("conv2d", {"kernel": 1, "stride": 2}, (2, 2, 3, 3), Conv2d(2, 3, 1, 2)),
    ("conv2d_transpose", {"kernel": 2, "stride": 2}, (2, 2, 2, 3), ConvTranspose2d(2, 3, 2, 2)),
    (
        "conv2d_transpose",
        {"kernel": 3, "stride": [2, 1], "padding": 1, "output_padding": [1, 0]},
        (2, 2, 3, 2),
        ConvTranspose2d(2, 3, 3, (2, 1), 1, (1, 0)),
    ),
    (
        "conv2d_transpose",
        {"kernel": [3, 2], "stride": 3, "padding": [0, 2], "output_padding": 2, "dilation": 2, "groups": 3},
        (1, 3, 2, 3),
        ConvTranspose2d(3, 3, (3, 2), 3, (0, 2), 2, 3, dilation=2),
    ),
    ("max_pool", {"kernel": 2}, (2, 2, 4, 5), MaxPool2d(2)),
    ("max_pool", {"kernel": 3, "stride": 1}, (2, 1, 5, 4), MaxPool2d(3, 1)),
    ("max_pool", {"kernel": [3, 2], "stride": [1, 2], "padding": [1, 1]}, (2, 1, 4, 5), MaxPool2d((3, 2), (1, 2), 1)),
    ("max_pool", {"kernel": 3, "stride": 2, "padding": 1}, (2, 2, 7), MaxPool1d(3, 2, 1)),
    ("average_pool", {"kernel": 2}, (2, 2, 4, 5), AvgPool2d(2)),
    ("average_pool", {"kernel": [3, 2], "stride": [1, 2], "padding": 1}, (2, 1, 4, 5), AvgPool2d((3, 2), (1, 2), 1)),
    ("average_pool", {"kernel": 3, "stride": 1, "padding": 1}, (2, 2, 5), AvgPool1d(3, 1, 1)),
    ("global_average_pool", {}, (2, 3, 2, 3), AdaptiveAvgPool2d(1)),
    ("global_max_pool", {}, (2, 3, 2, 3), AdaptiveMaxPool2d(1)),
    ("upsample", {"factor": [2, 3]}, (2, 1, 2, 3), Upsample(scale_factor=(2, 3))),
    ("upsample", {"factor": [2, 3], "method": "linear"}, (2, 1, 3, 2), Upsample(scale_factor=(2, 3), mode="bilinear")),
    ("upsample", {"factor": 4, "method": "linear"}, (1, 2, 3), Upsample(scale_factor=4, mode="linear")),
]


def numbers(tensor):
    return [round(number, 15) for number in tensor.detach().reshape(-1).tolist()]


def case(kind, settings, shape, layer):
    x = torch.randn(shape).round(decimals=6)
    if "pool" in kind:
        x = torch.randint(-2, 2, shape).double()  # most windows have several largest elements
    x.requires_grad_()
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape).round(decimals=6)
    out = layer(x)
    ct = torch.randn(out.shape).round(decimals=6)
    out.backward(ct)
    given = {"channels": 3} if kind.startswith("conv") else {}
    return {
        "type": kind,
        "settings": {**given, **settings},
        "shape": shape,
        **{name: numbers(t) for name, t in {"x": x, "ct": ct, "out": out, "x_bar": x.grad}.items()},
        "params": {name: numbers(parameter) for name, parameter in layer.named_parameters()},
        "gradients": {name: numbers(parameter.grad) for name, parameter in layer.named_parameters()},
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    lines = ",\n".join(json.dumps(case(*each)) for each in CASES)
    Path(__file__).with_name("torch_windows.json").write_text(f"[\n{lines}\n]\n")
