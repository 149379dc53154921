"""Schedules: PyTorch's stored learning rates, ends, warm-up, plateau's memory."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from nn_support import build, label, samples
from pydantic import ValidationError

from backprop_cli.errors import UsageError
from backprop_cli.nn.schedule import SCHEDULES, Clock

TORCH = json.loads(Path(__file__).with_name("torch_reference.json").read_text())["schedules"]
CASES = [settings for _, settings in samples(SCHEDULES)]


def _by_step(settings, total):
    schedule = build(SCHEDULES, settings)
    return [schedule.multiplier(Clock(step, 1, total, total), schedule.start()) for step in range(1, total + 1)]


def _by_epoch(settings, epochs):
    schedule = build(SCHEDULES, settings)
    return [schedule.multiplier(Clock(7 * e, e, 7 * epochs, 7), schedule.start()) for e in range(1, epochs + 1)]


@pytest.mark.parametrize(
    ("name", "settings"),
    [("cosine", {"to": 0.1}), ("linear", {"to": 0.2}), ("one_cycle", {})],
)
def test_courses_over_the_steps_are_pytorchs(name, settings):
    np.testing.assert_allclose(_by_step({"type": name, **settings}, 40), TORCH[name], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("step", {"every_epochs": 3, "factor": 0.5}), ("exponential", {"factor": 0.9})],
)
def test_courses_over_the_epochs_are_pytorchs(name, settings):
    np.testing.assert_allclose(_by_epoch({"type": name, **settings}, 10), TORCH[name], rtol=1e-12)


def _plateau(observed, **settings):
    """Scales of epochs 1, 2, ... when those before have been observed."""
    schedule = build(SCHEDULES, {"type": "plateau", **settings})
    state, scales = schedule.start(), []
    for value in observed:
        scales.append(schedule.multiplier(Clock(1, 1, 10, 1), state))
        state = schedule.observe(state, {schedule.monitor: value})
        assert json.loads(json.dumps(state, allow_nan=False)) == state
    return scales


def test_plateau_is_pytorchs():
    found = _plateau(TORCH["plateau"]["observed"], factor=0.5, patience=2, minimum=0.1)
    np.testing.assert_allclose(found, TORCH["plateau"]["rates"], rtol=1e-12)
    assert len(set(found)) > 3


def test_plateau_knows_which_way_is_better():
    observed = [0.5, 0.6, 0.7, 0.8]
    assert _plateau(observed, monitor="validation/accuracy", patience=0) == [1, 1, 1, 1]
    assert _plateau(observed, monitor="validation/loss", patience=0, factor=0.5) == [1, 1, 0.5, 0.25]
    assert _plateau(observed, monitor="validation/loss", mode="max", patience=0) == [1, 1, 1, 1]
    assert _plateau(observed, monitor="validation/accuracy", mode="min", patience=0, factor=0.5) == [1, 1, 0.5, 0.25]


def test_plateau_takes_small_changes_and_nan_for_none():
    assert _plateau([1.0, 0.95, 0.9, 0.85], patience=0, factor=0.5, min_delta=0.2) == [1, 1, 0.5, 0.25]
    assert _plateau([math.nan, math.nan, 1.0, math.nan], patience=0, factor=0.5) == [1, 0.5, 0.25, 0.25]


@pytest.mark.parametrize("settings", CASES, ids=label)
def test_an_empty_state_is_the_start(settings):
    schedule, clock, seen = build(SCHEDULES, settings), Clock(1, 1, 9, 3), {"validation/loss": 1.0}
    assert schedule.multiplier(clock, {}) == schedule.multiplier(clock, schedule.start())
    after = [schedule.observe(state, seen) for state in ({}, schedule.start())]
    assert after[0] == after[1]


def test_plateau_without_its_metric():
    schedule = build(SCHEDULES, {"type": "plateau", "monitor": "validation/los"})
    with pytest.raises(UsageError) as caught:
        schedule.observe(schedule.start(), {"train/loss": 1.0, "validation/loss": 2.0})
    assert str(caught.value) == (
        "schedule.monitor: unknown metric 'validation/los'; known: train/loss, validation/loss; "
        "did you mean 'validation/loss'?"
    )


@pytest.mark.parametrize("settings", CASES, ids=label)
@pytest.mark.parametrize("total", [1, 2, 3, 50])
def test_stays_within_0_and_1(settings, total):
    scales = _by_step(settings, total)
    assert all(0 <= scale <= 1 for scale in scales)
    if settings["type"] not in ("one_cycle", "coslog") and not settings.get("warmup_steps"):
        assert scales[0] == 1


@pytest.mark.parametrize("settings", CASES, ids=label)
def test_holds_past_the_planned_length(settings):
    schedule = build(SCHEDULES, settings)
    scales = [schedule.multiplier(Clock(step, 1, 50, 50), schedule.start()) for step in (51, 60, 1000)]
    assert len(set(scales)) == 1
    assert 0 <= scales[0] <= 1


@pytest.mark.parametrize("settings", CASES, ids=label)
def test_warms_up_from_0(settings):
    plain, warm = _by_step({**settings, "warmup_steps": 0}, 20), _by_step({**settings, "warmup_steps": 4}, 20)
    ramp = [0.25, 0.5, 0.75, *[1.0] * 17]
    assert warm == pytest.approx([a * b for a, b in zip(plain, ramp, strict=True)])


def test_one_cycle_reaches_its_top_and_bottom():
    scales = _by_step("one_cycle", 100)
    assert scales[0] == pytest.approx(1 / 25)
    assert max(scales) == scales[29] == 1
    assert scales[-1] == pytest.approx(1 / 25e4)


def test_coslog_has_cycles_of_twice_the_length():
    scales = _by_step("coslog", 1500)
    assert scales[0] == 0
    bottoms = [k for k in range(1, 1499) if scales[k] < min(scales[k - 1], scales[k + 1])]
    assert bottoms == [100, 300, 700]  # 1, 3 and 7 fifteenths
    assert scales[round(100 * (2**0.5 - 1))] == pytest.approx(1, abs=1e-3)


def test_flat_cos_is_flat_first():
    scales = _by_step("flat_cos", 100)
    assert set(scales[:51]) == {1}
    assert scales[75] == pytest.approx(0.5)
    assert scales[-1] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_one_cycle_of_one_half(fraction):
    scales = _by_step({"type": "one_cycle", "warmup_fraction": fraction}, 10)
    assert scales == sorted(scales, reverse=fraction == 0)


@pytest.mark.parametrize(
    ("settings", "place", "text"),
    [
        ({"type": "step", "factor": 0}, ("factor",), "Input should be greater than 0"),
        ({"type": "cosine", "to": 1.5}, ("to",), "Input should be less than or equal to 1"),
        (
            {"type": "linear", "warmup_steps": -1},
            ("warmup_steps",),
            "Input should be greater than or equal to 0",
        ),
    ],
)
def test_settings_out_of_range(settings, place, text):
    with pytest.raises(ValidationError) as caught:
        build(SCHEDULES, settings)
    (problem,) = caught.value.errors()
    assert (problem["loc"], problem["msg"]) == (place, text)
