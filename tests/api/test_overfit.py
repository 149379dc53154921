"""``training.overfit_batches``: a few batches to learn by heart; ``--max-seconds``."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from api_support import assert_same_state, bp, record, rows, run_of, write_config

from backprop_cli.api.eval import evaluate
from backprop_cli.api.train import train
from backprop_cli.config.load import load_config
from backprop_cli.session.experiment import prepare
from backprop_cli.training.evaluation import Evaluator
from backprop_cli.training.events import Warned
from backprop_cli.training.state import State
from backprop_cli.training.training_spec import order_of

FAST = {"type": "adam", "learning_rate": 0.05}
NOTICE = (
    "overfit_batches: trains and evaluates only on the first 2 batches (24 examples), to check that the network can "
    "learn them"
)


def warnings(config, overrides=(), **more):
    found = []

    def listen(event):
        if isinstance(event, Warned):
            found.append(event.message)

    return train(config, overrides, on_event=listen, **more), found


def test_the_batches_are_the_first_of_the_first_epoch():
    config = write_config()
    whole = prepare(load_config(config)).dataset
    part = prepare(load_config(config, ["training.overfit_batches=2"])).dataset
    chosen = order_of(0, 1, 42, True)[:24]
    np.testing.assert_array_equal(part.train.inputs, whole.train.inputs[chosen])
    np.testing.assert_array_equal(part.train.targets, whole.train.targets[chosen])
    np.testing.assert_array_equal(part.train.rows, whole.train.rows[chosen])
    assert part.validation is part.train
    assert part.test is None
    in_order = prepare(load_config(config, ["training.overfit_batches=2", "training.shuffle=false"])).dataset
    np.testing.assert_array_equal(in_order.train.inputs, whole.train.inputs[:24])


def test_a_network_that_learns_them_says_so_only_at_first():
    wide = {"layers": [{"type": "dense", "units": 60, "activation": "relu"}, {"type": "dense", "units": 3}]}
    config = write_config(model=wide, optimizer=FAST, training={"epochs": 600})
    result, found = warnings(config, ["training.overfit_batches=2"])
    assert found == [NOTICE]
    assert result.metrics["train/loss"] == result.metrics["validation/loss"] < 0.05
    assert list(result.metrics) == ["train/loss", "train/accuracy", "validation/loss", "validation/accuracy"]


def test_a_network_that_does_not_is_warned_of():
    result, found = warnings(write_config(), ["training.overfit_batches=2"], run_dir=Path("run"))
    prepared = prepare(load_config(Path("flowers.yaml"), ["training.overfit_batches=2"]))
    assert len(prepared.dataset.train) == 24
    first = _first_loss(prepared)
    assert found == [
        NOTICE,
        f"overfit_batches: the loss went from {first:.4g} to {result.metrics['train/loss']:.4g} and did not come near "
        f"0 (below {0.05 * first:.4g}); train longer, try another learning rate (--find-lr), remove dropout, "
        "augmentation and regularization, or look for a mistake in network or data",
    ]


def _first_loss(prepared):
    state = State.start(prepared.recipe, 0)
    return Evaluator(prepared.recipe, state.network).evaluate(prepared.dataset.train)["loss"]


def test_smoothed_labels_are_compared_with_what_they_can_reach():
    loss = {"type": "cross_entropy", "label_smoothing": 0.3}
    config = write_config(loss=loss, optimizer=FAST, training={"epochs": 300, "overfit_batches": 1})
    result, found = warnings(config)
    assert found == [NOTICE.replace("the first 2 batches (24", "the first batch (12")]
    assert result.metrics["train/loss"] > 0.6
    _, found = warnings(config, ["training.epochs=1"])
    assert "and did not come near 0.639 (below " in found[-1]


def test_the_command_says_it_in_terminal_and_log(capsys):
    assert bp("train", write_config(), "--overfit-batches", "2", "--run-dir", "run", "--quiet") == 0
    assert capsys.readouterr().err.splitlines()[0] == f"warning: {NOTICE}"
    assert Path("run/log.txt").read_text().splitlines()[0] == f"warning: {NOTICE}"


def test_the_resolved_configuration_repeats_the_run():
    config = write_config()
    run, _ = run_of(config, "one", ["training.overfit_batches=2"])
    assert yaml.safe_load((run / "config.resolved.yaml").read_text())["training"]["overfit_batches"] == 2
    again, _ = run_of(run / "config.resolved.yaml", "two")
    assert_same_state(run, again)


def test_a_run_goes_on_with_its_batches_and_its_first_loss():
    config = write_config(optimizer=FAST, training={"epochs": 6, "overfit_batches": 2})
    whole, _ = run_of(config, "whole")
    part, _ = run_of(config, "part", ["training.epochs=3"])
    _, found = warnings(None, ["training.epochs=6"], resume=part)
    assert_same_state(part, whole)
    assert found[0] == NOTICE
    first = _first_loss(prepare(load_config(whole / "config.resolved.yaml")))
    assert f"went from {first:.4g} to" in found[-1]


def test_it_is_evaluated_on_all_data_afterwards():
    run, result = run_of(write_config(optimizer=FAST), "run", ["training.overfit_batches=1"])
    assert "test/loss" not in result.metrics
    assert evaluate(run, split="test").examples == 9
    assert evaluate(run, split="train").examples == 42


def test_without_a_validation_split_there_is_none():
    config = write_config(data={"split": {"validation": 0}})
    _, result = run_of(config, "run", ["training.overfit_batches=1"])
    assert list(result.metrics) == ["train/loss", "train/accuracy"]


DOUBT = (
    "warning: trained on 2 batches of 12 only (training.overfit_batches), which tests the network and makes no model; "
    "name another run, or train again without it\n"
)


def test_who_uses_such_a_network_is_warned(capsys):
    config = write_config()
    for number, words in enumerate([["--overfit-batches", "2"], []]):
        assert bp("train", config, "--quiet", "--run-dir", f"run{number}", *words) == 0
    capsys.readouterr()
    for command, *words in (["eval"], ["predict", "flowers.csv"], ["jacobian"]):
        for number, count in enumerate((1, 0)):
            assert bp(command, f"run{number}", *words) == 0
            assert capsys.readouterr().err.count(DOUBT) == count
    assert evaluate("run0").warnings == (DOUBT.removeprefix("warning: ").rstrip("\n"),)


def test_a_generator_is_doubted_too(capsys):
    Path("sea.txt").write_text("by the sea\n" * 40)
    layers = [{"type": "embedding", "tokens": 9, "width": 4}, {"type": "dense", "units": 9}]
    data = {"source": "sea.txt", "text": {"lines": True}}
    tree = {
        "data": data,
        "model": {"layers": layers},
        "loss": "next_token",
        "training": {"epochs": 1, "batch_size": 12},
    }
    Path("sea.yaml").write_text(yaml.safe_dump(tree))
    assert bp("train", "sea.yaml", "--quiet", "--overfit-batches", "2", "--run-dir", "run") == 0
    capsys.readouterr()
    assert bp("generate", "run", "--tokens", "3") == 0
    assert DOUBT in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--max-seconds", "0.3"], ["training.max_seconds=0.3"]])
def test_a_limit_of_time(capsys, option):
    config = write_config(training={"epochs": 1_000_000})
    assert bp("train", config, "--run-dir", "run", *option) == 0
    (stopped,) = rows(Path("run"), "stopped")
    assert stopped["reason"] == "max_seconds: 0.3 s are over"
    assert 0.2 < record(Path("run"))["seconds"] < 5


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--overfit-batches", "0"],
            "--overfit-batches 0: must be greater than 0, got 0\n1 problem; nothing was run.\n",
        ),
        (
            ["--max-seconds", "-1"],
            "--max-seconds -1: must be greater than 0, got -1.0\n1 problem; nothing was run.\n",
        ),
    ],
)
def test_numbers_out_of_range(capsys, words, text):
    assert bp("train", write_config(), *words) == 2
    assert capsys.readouterr().err == text
