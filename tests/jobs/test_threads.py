"""The rule of ``training.threads: auto``."""

import pytest

from backprop_cli.jobs import threads
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.model import Model

LARGE = [{"type": "dense", "units": 512}, {"type": "dense", "units": 10}]
SMALL = [{"type": "dense", "units": 16}, {"type": "dense", "units": 3}]
ROWS = [
    {"type": "conv2d", "channels": 6, "kernel": 5},
    {"type": "conv2d", "channels": 16, "kernel": 5},
]
STEPS = [{"type": "gru", "units": 64}]


@pytest.mark.parametrize(
    ("layers", "shape", "batch", "expected"),
    [
        (LARGE, (784,), 128, 7),
        (LARGE, (784,), 8, 1),
        (SMALL, (4,), 32, 1),
        (ROWS, (1, 28, 28), 64, 1),  # 61 million multiplications, in rows of 3
        (STEPS, (32, 8), 64, 1),
    ],
    ids=["large", "few examples", "small", "rows of windows", "steps in time"],
)
def test_processors_are_for_large_products(monkeypatch, layers, shape, batch, expected):
    monkeypatch.setattr(threads, "_processors", lambda: 7)
    model = Model.build([LAYERS[layer["type"]].model_validate(layer) for layer in layers], shape)
    assert threads.thread_count("auto", model, batch) == expected
    assert threads.thread_count(3, model, batch) == 3
