"""Write torch_norms.json: PyTorch's numbers of layers that normalize, so that the tests need no PyTorch.

python tests/nn/torch_norms.py      (with PyTorch installed; the stored numbers are of 2.13)
"""

import json
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)
STEPS = 3

CASES = [
    ("batch_norm", {}, (4, 3), lambda: torch.nn.BatchNorm1d(3)),
    ("batch_norm", {"momentum": 0.3, "epsilon": 0.01}, (2, 3, 2, 2), lambda: torch.nn.BatchNorm2d(3, 0.01, 0.3)),
    ("batch_norm", {"affine": False}, (3, 2, 4), lambda: torch.nn.BatchNorm1d(2, affine=False)),
    ("layer_norm", {}, (3, 4), lambda: torch.nn.LayerNorm(4)),
    ("layer_norm", {"axes": 2, "epsilon": 0.01}, (2, 2, 2, 3), lambda: torch.nn.LayerNorm((2, 3), 0.01)),
    ("layer_norm", {"axes": "all", "affine": False}, (2, 2, 3), lambda: torch.nn.LayerNorm((2, 3), 1e-5, False)),
    ("rms_norm", {}, (3, 4), lambda: torch.nn.RMSNorm(4, 1e-5)),
    ("rms_norm", {"axes": 2, "epsilon": 0.01}, (2, 2, 2, 2), lambda: torch.nn.RMSNorm((2, 2), 0.01)),
    ("group_norm", {"groups": 2}, (3, 4), lambda: torch.nn.GroupNorm(2, 4)),
    ("group_norm", {"groups": 2, "epsilon": 0.01}, (2, 4, 2, 2), lambda: torch.nn.GroupNorm(2, 4, 0.01)),
    ("group_norm", {"groups": 3, "affine": False}, (2, 3, 4), lambda: torch.nn.GroupNorm(3, 3, 1e-5, False)),
]


def numbers(tensor):
    return tensor.detach().reshape(-1).tolist()


def case(kind, settings, shape, make):
    layer = make()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    found = {"type": kind, "settings": settings, "shape": shape, "steps": []}
    found["params"] = {name: numbers(parameter) for name, parameter in layer.named_parameters()}
    for _ in range(STEPS if layer._buffers else 1):
        x, ct = (torch.randn(shape).requires_grad_() for _ in range(2))
        layer.zero_grad()
        out = layer(x)
        out.backward(ct)
        gradients = {name: numbers(parameter.grad) for name, parameter in layer.named_parameters()}
        named = {"x": x, "ct": ct, "out": out, "x_bar": x.grad}
        found["steps"].append({**{name: numbers(t) for name, t in named.items()}, "gradients": gradients})
    buffers = {name: numbers(t) for name, t in layer.named_buffers() if t.is_floating_point()}
    layer.eval()
    layer.zero_grad()
    x, ct = (torch.randn(shape).requires_grad_() for _ in range(2))
    out = layer(x)
    out.backward(ct)
    named = {"x": x, "ct": ct, "out": out, "x_bar": x.grad}
    gradients = {name: numbers(parameter.grad) for name, parameter in layer.named_parameters()}
    found["evaluation"] = {**{name: numbers(t) for name, t in named.items()}, "gradients": gradients}
    return {**found, "buffers": buffers}


if __name__ == "__main__":
    torch.manual_seed(0)
    lines = ",\n".join(json.dumps(case(*each)) for each in CASES)
    Path(__file__).with_name("torch_norms.json").write_text(f"[\n{lines}\n]\n")
