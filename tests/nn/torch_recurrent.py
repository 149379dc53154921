"""Write torch_recurrent.json: PyTorch's numbers of recurrent layers, so that the tests need no PyTorch.

python tests/nn/torch_recurrent.py      (with PyTorch installed; the stored numbers are of 2.13)
"""

import json
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)
BATCH, TIME, FEATURES, UNITS = 2, 3, 2, 2

KINDS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
CASES = [
    (kind, {"layers": layers, "bidirectional": both, "output": output, **more})
    for kind in KINDS
    for layers, both, output, more in (
        (1, False, "last", {}),
        (1, False, "sequence", {"bias": False}),
        (2, False, "last", {}),
        (2, True, "last", {}),
        (2, True, "sequence", {}),
    )
] + [("rnn", {"layers": 2, "nonlinearity": "relu", "output": "sequence"})]


def numbers(tensor):
    return tensor.detach().reshape(-1).tolist()


def waves(shape, start):
    """Numbers that a formula makes: nothing but results is stored."""
    count = torch.Size(shape).numel()
    return torch.sin(start + 1.7 * torch.arange(count, dtype=torch.float64)).reshape(shape)


def case(kind, settings):
    arguments = {key: value for key, value in settings.items() if key not in ("layers", "output")}
    layer = KINDS[kind](FEATURES, UNITS, settings["layers"], batch_first=True, **arguments)
    for place, parameter in enumerate(layer.parameters()):
        parameter.data = waves(parameter.shape, place)
    x = waves((BATCH, TIME, FEATURES), 0.5).requires_grad_()
    out, last = layer(x)
    if settings["output"] == "last":
        hidden = last[0] if kind == "lstm" else last
        out = torch.cat(list(hidden[-2:] if settings["bidirectional"] else hidden[-1:]), 1)
    out.backward(waves(out.shape, 0.25))
    several = settings["layers"] > 1 or settings.get("bidirectional", False)
    gradients = {
        (name if several else name.removesuffix("_l0")): numbers(parameter.grad)
        for name, parameter in layer.named_parameters()
    }
    return {
        "settings": {"type": kind, "units": UNITS, **settings},
        "out": numbers(out),
        "x_bar": numbers(x.grad),
        "gradients": gradients,
    }


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(case(*each)) for each in CASES)
    Path(__file__).with_name("torch_recurrent.json").write_text(f"[\n{lines}\n]\n")
