"""The rule of ``training.threads``: BLAS threads, or workers that compute a part of the batch each."""

from pathlib import Path

import pytest
from jobs_support import assert_same_state, record, run_of, stop_at, write_config

from backprop_cli.errors import InterruptionError
from backprop_cli.jobs import threads
from backprop_cli.jobs.train import train
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.losses.cross_entropy import CrossEntropy
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.training.events import Started
from backprop_cli.training.program import Recipe

LARGE = [{"type": "dense", "units": 512}, {"type": "dense", "units": 10}]
SMALL = [{"type": "dense", "units": 16}, {"type": "dense", "units": 3}]
ROWS = [
    {"type": "conv2d", "channels": 6, "kernel": 5},
    {"type": "conv2d", "channels": 16, "kernel": 5},
    {"type": "flatten"},
]
STEPS = [{"type": "gru", "units": 64}]
WIDE_STEPS = [{"type": "gru", "units": 160}]
DEEP = [{"type": "dense", "units": 256}] * 8


def made(layers, shape, optimizer="adam"):
    model = Model.build([LAYERS[layer["type"]].model_validate(layer) for layer in layers], shape)
    return Recipe(model, CrossEntropy(), OPTIMIZERS[optimizer].model_validate({"type": optimizer}))


@pytest.fixture(autouse=True)
def seven_processors(monkeypatch):
    monkeypatch.setattr(threads, "_processors", lambda: 7)


@pytest.mark.parametrize(
    ("layers", "shape", "batch", "auto", "three"),
    [
        (LARGE, (784,), 128, (7, 1), (3, 1)),
        (LARGE, (784,), 8, (1, 1), (3, 1)),
        (LARGE, (784,), 1024, (1, 2), (1, 3)),  # so much work that parts of it are large products, too
        (SMALL, (4,), 32, (1, 1), (3, 1)),
        (ROWS, (1, 28, 28), 64, (1, 2), (1, 3)),  # 61 million multiplications, in rows of 3
        (ROWS, (1, 28, 28), 8, (1, 1), (3, 1)),
        (STEPS, (32, 8), 64, (1, 1), (3, 1)),
        (STEPS, (32, 64), 128, (1, 2), (1, 3)),
        (WIDE_STEPS, (16, 32), 64, (1, 2), (1, 3)),  # products of 5 million, one after the other
        (WIDE_STEPS, (8, 32), 192, (7, 1), (3, 1)),  # of 15 million
        (DEEP, (256,), 128, (7, 1), (3, 1)),  # of 8 million, one a layer
    ],
    ids=[
        "large",
        "few examples",
        "very much work",
        "small",
        "rows of windows",
        "few rows",
        "small steps in time",
        "steps in time",
        "wide steps in time",
        "large steps in time",
        "deep",
    ],
)
def test_products_are_for_blas_and_much_other_work_for_workers(layers, shape, batch, auto, three):
    recipe = made(layers, shape)
    assert threads.share_out("auto", recipe, batch) == auto
    assert threads.share_out(3, recipe, batch) == three
    assert threads.share_out(1, recipe, batch) == (1, 1)


def test_no_more_workers_than_examples():
    recipe = made([{"type": "conv2d", "channels": 64, "kernel": 3}] * 2, (64, 32, 32))
    assert threads.share_out(9, recipe, 2) == (1, 2)
    assert threads.share_out(9, recipe, 1) == (9, 1)


NORM = {"type": "batch_norm"}


@pytest.mark.parametrize(
    ("norm", "optimizer", "expected"),
    [
        (NORM, "adam", (1, 1)),
        ({**NORM, "trainable": False}, "adam", (1, 2)),
        (NORM | {"type": "layer_norm"}, "lbfgs", (1, 1)),
    ],
    ids=["statistics of the batch", "frozen statistics", "all examples in one batch"],
)
def test_a_batch_whose_examples_need_each_other_stays_whole(norm, optimizer, expected):
    assert threads.share_out("auto", made([*ROWS[:2], norm, ROWS[2]], (1, 28, 28), optimizer), 64) == expected


def test_a_batch_that_a_plugin_has_a_hand_in_stays_whole():
    recipe = made(ROWS, (1, 28, 28))

    class Own(CrossEntropy):
        """Code of which nothing is known."""

    assert type(recipe.loss).__module__ != Own.__module__
    assert threads.share_out("auto", Recipe(recipe.model, Own(), recipe.optimizer), 64) == (1, 1)


def test_a_run_with_workers_says_so_and_goes_on_with_the_same_bits(monkeypatch):
    monkeypatch.setattr(threads, "SPLIT", 0)
    config, events = write_config(training={"epochs": 4, "threads": 2}, log={"every_steps": 1}), []
    straight, _ = run_of(config, "straight", on_event=events.append)
    assert [event.threads for event in events if isinstance(event, Started)] == [2]
    assert (record(straight)["threads"], record(straight)["workers"]) == (1, 2)
    with pytest.raises(InterruptionError):
        train(config, run_dir=Path("broken"), on_event=stop_at(6))
    train(resume=Path("broken"))
    assert_same_state(Path("broken"), straight)
