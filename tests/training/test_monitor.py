"""What counts as better, and when to stop waiting."""

import math

import pytest

from backprop_cli.training.monitor import Monitor


def watch(monitor: Monitor, *values: float):
    """The memory after these epochs, and which of them were improvements."""
    memory, improved = {}, []
    for epoch, value in enumerate(values, start=1):
        memory, better = monitor.observe(memory, {"x": value}, step=10 * epoch, epoch=epoch)
        improved.append(better)
    return memory, improved


@pytest.mark.parametrize(
    ("better", "values", "improved"),
    [
        ("min", (3, 2, 2, 1), [True, True, False, True]),
        ("max", (3, 2, 3, 4), [True, False, False, True]),
        ("min", (math.nan, 3, math.nan, 2), [False, True, False, True]),
        ("max", (math.inf, 5), [True, False]),
        ("min", (math.inf, 5), [True, True]),
    ],
)
def test_what_is_better(better, values, improved):
    assert watch(Monitor("x", better), *values)[1] == improved


def test_an_improvement_is_more_than_min_delta_over_the_best():
    memory, improved = watch(Monitor("x", "min", min_delta=1.0), 10, 9.5, 9.0, 8.9)
    assert improved == [True, False, False, True]
    assert memory == {"value": 8.9, "step": 40, "epoch": 4, "waited": 0}


@pytest.mark.parametrize(
    ("patience", "waits"),
    [
        (None, [False] * 4),
        (0, [False, True, True, True]),
        (1, [False, True, True, True]),
        (2, [False, False, True, True]),
    ],
)
def test_patience(patience, waits):
    monitor = Monitor("x", "min", patience=patience)
    found = [monitor.is_out_of_patience(watch(monitor, *(1.0,) * epochs)[0]) for epochs in range(1, 5)]
    assert found == waits
    assert not monitor.is_out_of_patience({})


def test_nothing_but_nan():
    memory, improved = watch(Monitor("x", "min", patience=2), math.nan, math.nan)
    assert improved == [False, False]
    assert memory == {"waited": 2}
    assert Monitor("x", "min", patience=2).is_out_of_patience(memory)
