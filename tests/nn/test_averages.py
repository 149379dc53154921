"""Averages: their shares by hand, and that they add up to the definition."""

import pytest
from nn_support import build

from backprop_cli.nn.average import AVERAGES, StepEnd


def shares(settings, epochs, steps):
    """Of every update of some epochs."""
    average = build(AVERAGES, settings)
    moments = [(epoch, step) for epoch in range(1, epochs + 1) for step in range(1, steps + 1)]
    return [average.share(StepEnd((e - 1) * steps + s, e, s == steps)) for e, s in moments]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"type": "ema", "decay": 0.5}, [1, 2 / 3, 4 / 7, 8 / 15, 16 / 31, 32 / 63]),
        ({"type": "ema", "decay": 0.9, "bias_correction": False}, [1, *[pytest.approx(0.1)] * 5]),
        ({"type": "ema", "decay": 0.5, "every": 2}, [None, 1, 0, 2 / 3, 0, 4 / 7]),
        ({"type": "ema", "decay": 0.0}, [1] * 6),
        ({"type": "swa", "from_epoch": 1}, [None, 1, 0, 1 / 2, 0, 1 / 3]),
        ({"type": "swa", "from_epoch": 2}, [None, None, None, 1, 0, 1 / 2]),
        ({"type": "swa", "from_epoch": 1, "every": 2}, [None, 1, 0, 0, 0, 1 / 2]),
        ({"type": "swa", "from_epoch": 4}, [None] * 6),
    ],
    ids=str,
)
def test_shares_by_hand(settings, expected):
    assert shares(settings, epochs=3, steps=2) == expected
