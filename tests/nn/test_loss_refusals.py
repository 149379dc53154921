"""What losses refuse: targets without a cost, shapes and settings that do not fit."""

import numpy as np
import pytest
from nn_support import build
from pydantic import ValidationError

from backprop_cli import autodiff as ad
from backprop_cli.errors import ShapeError
from backprop_cli.nn.loss import LOSSES


@pytest.mark.parametrize(
    ("name", "targets", "index", "text"),
    [
        ("poisson", [[0.0, 2.5]], None, ""),
        ("poisson", [[0.0, 1.0], [3.0, -1.0]], (1, 1), "expected a count of at least 0, got -1"),
        ("kl_divergence", [[0.25, 0.75], [0.3334, 0.667]], None, ""),
        ("kl_divergence", [[0.5, 0.5], [-0.1, 1.1]], (1, 0), "expected a probability from 0 to 1, got -0.1"),
        ("kl_divergence", [[0.5, 0.5], [0.5, 0.75]], (1,), "expected probabilities that sum to 1, got a sum of 1.25"),
        ("mean_squared_error", [[-1.0, 1e9]], None, ""),
    ],
)
def test_targets_that_have_no_cost(name, targets, index, text):
    wrong = build(LOSSES, name).problem(np.array(targets), 2)
    assert (None if wrong is None else (wrong.path, wrong.message)) == (None if index is None else (index, text))


@pytest.mark.parametrize(
    ("ignore", "targets", "index", "text"),
    [
        (-1, [[0, 2], [-1, 1]], None, ""),
        (
            -1,
            [[0, 2], [-1, 3]],
            (1, 1),
            "expected a token from 0 to 2, or -1 (ignored), got 3; "
            "give the network's last layer an output for each token",
        ),
        (
            9,
            [[9, 2], [-1, 3]],
            (1, 0),
            "expected a token from 0 to 2, or 9 (ignored), got -1; "
            "give the network's last layer an output for each token",
        ),
    ],
)
def test_tokens_that_are_no_outputs(ignore, targets, index, text):
    wrong = build(LOSSES, {"type": "next_token", "ignore": ignore}).problem(np.array(targets), 3)
    assert (None if wrong is None else (wrong.path, wrong.message)) == (None if index is None else (index, text))


@pytest.mark.parametrize(
    ("settings", "place", "text"),
    [
        (
            {"class_weight": "even"},
            ("class_weight", "word"),
            "Input should be 'none' or 'balanced'",
        ),
        (
            {"class_weight": {"cat": -1}},
            ("class_weight", "mapping", "cat"),
            "Input should be greater than or equal to 0",
        ),
        ({"label_smoothing": 1.0}, ("label_smoothing",), "Input should be less than 1"),
    ],
)
def test_settings_out_of_range(settings, place, text):
    with pytest.raises(ValidationError) as caught:
        build(LOSSES, {"type": "cross_entropy", **settings})
    (problem,) = caught.value.errors()
    assert (problem["loc"], problem["msg"]) == (place, text)


@pytest.mark.parametrize(
    ("name", "outputs", "targets", "text"),
    [
        (
            "mean_squared_error",
            (4, 1),
            (4,),
            "loss mean_squared_error: needs outputs and targets of the same shape "
            "(given outputs: (4, 1), targets: (4,))",
        ),
        (
            "binary_cross_entropy",
            (4, 2),
            (4, 1),
            "loss binary_cross_entropy: needs outputs and targets of the same shape "
            "(given outputs: (4, 2), targets: (4, 1))",
        ),
        (
            "cross_entropy",
            (4, 3, 2),
            (4,),
            "loss cross_entropy: needs outputs (batch, classes) and labels (batch,) "
            "(given outputs: (4, 3, 2), labels: (4,))",
        ),
        (
            "quantile",
            (4, 3),
            (4, 2),
            "loss quantile: needs targets (batch, targets) and 1 output for each of them "
            "(given outputs: (4, 3), targets: (4, 2))",
        ),
        (
            "next_token",
            (4, 3, 2),
            (4,),
            "loss next_token: needs outputs (batch, positions, tokens) and labels (batch, positions) "
            "(given outputs: (4, 3, 2), labels: (4,))",
        ),
    ],
)
def test_shapes_that_do_not_fit(name, outputs, targets, text):
    loss = build(LOSSES, name)
    with pytest.raises(ShapeError) as caught:
        loss.apply(ad.input_("o", outputs), ad.input_("t", targets, int if loss.task.has_labels else float))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "quantile", "quantile": [0.5, 0.1]}, "must rise, each quantile once, got 0.5, 0.1"),
        ({"type": "quantile", "quantile": [0.1, 0.1]}, "must rise, each quantile once, got 0.1, 0.1"),
    ],
)
def test_quantiles_that_do_not_rise(settings, message):
    with pytest.raises(ValidationError) as caught:
        build(LOSSES, settings)
    assert message in [problem["msg"] for problem in caught.value.errors()]
