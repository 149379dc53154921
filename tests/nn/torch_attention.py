"""Write torch_attention.json: PyTorch's numbers of attention and embeddings, so that the tests need no PyTorch.

python tests/nn/torch_attention.py      (with PyTorch installed; the stored numbers are of 2.13)
"""

import json
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)

CASES = [
    ("attention", {"heads": 2}, [(2, 3, 4)]),
    ("attention", {"heads": 3, "causal": True, "bias": False}, [(2, 4, 6)]),
    ("attention", {"heads": 2}, [(2, 2, 4), (2, 3, 4)]),
    ("embedding", {"tokens": 5, "width": 3}, [(2, 4)]),
]


def numbers(tensor):
    return tensor.detach().reshape(-1).tolist()


def attention(settings, x):
    width, bias = x[0].shape[2], settings.get("bias", True)
    layer = torch.nn.MultiheadAttention(width, settings["heads"], bias=bias, batch_first=True)
    size = x[0].shape[1]
    mask = torch.triu(torch.full((size, size), float("-inf")), 1) if settings.get("causal") else None
    return layer, lambda: layer(x[0], x[-1], x[-1], attn_mask=mask, need_weights=False)[0]


def embedding(settings, x):
    layer = torch.nn.Embedding(settings["tokens"], settings["width"])
    return layer, lambda: layer(x[0])


def case(kind, settings, shapes):
    if kind == "embedding":
        x = [torch.randint(0, settings["tokens"], shape) for shape in shapes]
        layer, run = embedding(settings, x)
    else:
        x = [torch.randn(shape).requires_grad_() for shape in shapes]
        layer, run = attention(settings, x)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    out = run()
    ct = torch.randn(out.shape)
    out.backward(ct)
    return {
        "type": kind,
        "settings": settings,
        "shapes": shapes,
        "x": [numbers(each) for each in x],
        "params": {name: numbers(parameter) for name, parameter in layer.named_parameters()},
        "ct": numbers(ct),
        "out": numbers(out),
        "x_bar": [numbers(each.grad) for each in x if each.grad is not None],
        "gradients": {name: numbers(parameter.grad) for name, parameter in layer.named_parameters()},
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    lines = ",\n".join(json.dumps(case(*each)) for each in CASES)
    Path(__file__).with_name("torch_attention.json").write_text(f"[\n{lines}\n]\n")
