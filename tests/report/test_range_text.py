"""A learning rate range test as text."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from backprop_cli.api.find_lr import FoundRate
from backprop_cli.report.range_chart import range_figure, range_text


def result(losses, suggestion=0.01, **more):
    rates = np.geomspace(1e-4, 1.0, len(losses)).tolist()
    reason = "a tenth of 0.1, where the smoothed loss is lowest"
    options = {"stopped": None, "reason": reason, **more}
    return FoundRate(
        learning_rate=suggestion,
        configured=0.001,
        from_=1e-4,
        to=1.0,
        rates=rates,
        losses=losses,
        smoothed=losses,
        **options,
    )


def test_the_curve():
    found = range_text(result([2.0, 2.0, 2.0, 1.0, 9.0], stopped="the smoothed loss is 9, and was 2 at first"))
    assert found.splitlines() == [
        "smoothed loss",
        "2.5 |                                :                              ^",
        "    |                                :",
        "    |                                :",
        "    |                                :",
        "    |*               *               *",
        "    |                                :",
        "    |                                :",
        "    |                                :",
        "    |                                :",
        "    |                                :",
        "    |                                :",
        "  1 |                                :              *",
        "    +----------------------------------------------------------------",
        "     0.0001                      learning rate                      1",
        "5 steps from 0.0001 to 1; stopped: the smoothed loss is 9, and was 2 at first",
        "optimizer.learning_rate=0.01  (a tenth of 0.1, where the smoothed loss is lowest; configured: 0.001)",
    ]


def test_nothing_to_suggest():
    flat = range_text(result([2.0, 2.0], None, reason="the loss falls at no rate"))
    assert flat.splitlines()[-2:] == ["2 steps from 0.0001 to 1", "no suggestion: the loss falls at no rate"]
    none = range_text(result([], None, reason="the loss is not finite from the start", stopped="not finite"))
    assert none == "0 steps; stopped: not finite\nno suggestion: the loss is not finite from the start"


def test_a_suggestion_below_all_rates_is_not_marked():
    assert ":" not in range_text(result([2.0, 1.0, 3.0], 1e-5)).partition("optimizer.")[0]


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="Matplotlib is an extra")
def test_the_figure():
    found = result([2.0, 2.0, 1.0, 9.0])
    figure = range_figure(replace(found, losses=[2.0, None, 1.0, 9.0]))
    (axis,) = figure.axes
    assert axis.get_xscale() == "log"
    points, line, mark = axis.get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [2.0, 2.0, 1.0, 9.0])
    np.testing.assert_array_equal(points.get_ydata(), [2.0, np.nan, 1.0, 9.0])
    assert mark.get_xdata() == [0.01, 0.01]
    assert axis.get_ylim()[1] < 3
