"""The rule of ``training.threads``: BLAS threads, or workers that compute a part of the batch each."""

import json
from pathlib import Path

import pytest
from api_support import assert_same_state, record, resumed, run_of, stop_at, write_config

from backprop_cli.api.train import train
from backprop_cli.errors import InterruptionError
from backprop_cli.nn.layer import LAYERS
from backprop_cli.nn.losses.cross_entropy import CrossEntropy
from backprop_cli.nn.model import Model
from backprop_cli.nn.optimizer import OPTIMIZERS
from backprop_cli.session import threads
from backprop_cli.training.events import Started
from backprop_cli.training.step_program import Recipe

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


BUSY = {"training": {"epochs": 2}, "log": {"every_steps": 1}}


NO_LONGER = "this run no longer ends with the bits of an uninterrupted one"


@pytest.mark.parametrize(("asked", "kept"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3))])
def test_a_resumed_run_keeps_its_threads_and_workers(asked, kept, monkeypatch):
    monkeypatch.setattr(threads, "SPLIT", 0)  # so that auto has workers
    config = write_config(**BUSY)
    straight, _ = run_of(config, "straight", threads=asked)
    with pytest.raises(InterruptionError):
        train(config, run_dir=Path("broken"), on_event=stop_at(5), threads=asked)
    monkeypatch.setattr(threads, "_processors", lambda: 1)
    assert resumed(Path("broken"))[1] == []
    told = record(Path("broken"))
    assert (told["threads"], told["workers"]) == kept
    assert_same_state(Path("broken"), straight)
    # Until something else is asked for, which is kept from there on.
    resumed(Path("broken"), "training.epochs=3", threads=4)
    assert record(Path("broken"))["workers"] == 4
    resumed(Path("broken"), "training.epochs=4")
    assert record(Path("broken"))["workers"] == 4
    resumed(Path("broken"), "training.epochs=5", "training.threads=2")
    assert record(Path("broken"))["workers"] == 2
    resumed(Path("broken"), "training.epochs=6", "training.threads=auto")
    assert record(Path("broken"))["workers"] == 1


def test_no_more_workers_than_examples_of_a_smaller_batch(monkeypatch):
    monkeypatch.setattr(threads, "SPLIT", 0)
    run, _ = run_of(write_config(**BUSY), "run", threads=4)
    assert resumed(run, "training.epochs=3", "training.batch_size=2")[1] == []
    assert record(run)["workers"] == 2


def altered(run: Path, **environment) -> None:
    """As if the run had been begun elsewhere."""
    told = record(run)
    for key, value in environment.items():
        where = told["environment"]["blas"] if key in ("architecture", "version") else told["environment"]
        if value is None:
            del where[key]
        else:
            where[key] = value
    (run / "run.json").write_text(json.dumps(told))


def test_another_machine_is_told_in_one_line():
    run, _ = run_of(write_config(**BUSY), "run")
    now = record(run)["environment"]
    altered(run, numpy="1.9", processor="an abacus", architecture="Prescott", python="2.7", platform="CP/M", cpus=64)
    begun = record(run)["environment"]
    kernel, processor = now["blas"]["architecture"], now["processor"]
    promise = (
        f"{NO_LONGER}: NumPy was 1.9 and is {now['numpy']}, the kernel of BLAS was Prescott and is {kernel}, "
        f"the processor was an abacus and is {processor}"
    )
    assert resumed(run, "training.epochs=3")[1] == [promise]
    told = record(run)
    assert told["environment"] == begun  # where it began, for good
    assert told["resumed"][0]["environment"]["numpy"] == now["numpy"]
    assert resumed(run, "training.epochs=4")[1] == [promise]


def test_what_a_run_did_not_note_is_not_compared():
    run, _ = run_of(write_config(**BUSY), "run")
    altered(run, processor=None, architecture=None)
    assert resumed(run, "training.epochs=3")[1] == []
    assert "environment" not in record(run)["resumed"][0]


def test_threads_that_cannot_be_had_are_told():
    run, _ = run_of(write_config(**BUSY), "run", threads=1)
    told = record(run)
    (run / "run.json").write_text(json.dumps({**told, "threads": 100_000}))
    (line,) = resumed(run, "training.epochs=3")[1]
    assert line.startswith(f"{NO_LONGER}: BLAS had 100000 threads and allows at most ")


def test_steps_that_cannot_be_compiled_any_more_are_told(monkeypatch):
    run, _ = run_of(write_config(**BUSY), "run")
    (run / "run.json").write_text(json.dumps({**record(run), "compiled": True}))
    obstacle = "there is no C compiler"
    for module in ("compilation", "resumption"):
        monkeypatch.setattr(f"backprop_cli.session.{module}.compiler_obstacle", lambda: obstacle)
    told = resumed(run, "training.epochs=3")[1]
    assert told == [f"{NO_LONGER}: its steps were compiled and cannot be: {obstacle}"]


@pytest.mark.parametrize("asked", [2**31, 10**30])
def test_more_threads_than_a_library_can_be_asked_for(asked):
    run, _ = run_of(write_config(training={"epochs": 1}), "run", threads=asked)
    assert record(run)["threads"] == threads.TOO_MANY - 1
    run.joinpath("run.json").write_text(json.dumps({**record(run), "threads": asked}))
    assert train(None, ["training.epochs=2", f"training.threads={asked}"], resume=run).epochs == 2
    run.joinpath("run.json").write_text(json.dumps({**record(run), "workers": asked}))
    assert train(None, ["training.epochs=3"], resume=run).epochs == 3
