"""``bp train --find-lr``: what it prints, and that it leaves everything as it is."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from api_support import bp, run_of, write_config

import backprop_cli
from backprop_cli.api.find_lr import find_lr

with_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="Matplotlib is an extra")


def files(folder=Path()):
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def said(capsys, *words, code=2):
    assert bp("train", *words) == code
    return capsys.readouterr().err


def test_it_prints_the_curve_and_writes_nothing(capsys):
    config = write_config()
    before = files()
    assert bp("train", config, "--find-lr") == 0
    out = capsys.readouterr().out.splitlines()
    assert files() == before
    found = find_lr(config).to_json()
    assert out[0] == "smoothed loss"
    assert len(out) == 17
    assert out[-1] == (f"optimizer.learning_rate={found['learning_rate']:g}  ({found['reason']}; configured: 0.01)")
    assert 1e-4 < found["learning_rate"] < 1


def test_it_tells_how_far_it_is():
    told = []
    found = find_lr(write_config(), on_progress=lambda *now: told.append(now))
    assert told == [("learning rates", done, 100) for done in range(1, len(found.rates) + 1)]


def test_json_has_every_update(capsys):
    config = write_config()
    assert bp("train", config, "--find-lr", "--from", "1e-5", "--to", "0.1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [
        "learning_rate", "reason", "configured", "from", "to", "stopped", "steps", "rates", "losses", "smoothed",
    ]  # fmt: skip
    assert (found["from"], found["to"], found["configured"], found["stopped"]) == (1e-5, 0.1, 0.01, None)
    assert found["steps"] == len(found["rates"]) == len(found["losses"]) == len(found["smoothed"]) == 100
    np.testing.assert_allclose(found["rates"], np.geomspace(1e-5, 0.1, 100))
    assert found == backprop_cli.find_lr(config, low=1e-5, high=0.1).to_json()  # the same bits every time


def test_a_suggested_rate_trains_better_than_one_far_below(capsys):
    config = write_config(optimizer={"type": "sgd", "learning_rate": 1e-5}, training={"epochs": 20})
    rate = find_lr(config).learning_rate
    _, slow = run_of(config, "slow")
    _, fast = run_of(config, "fast", [f"optimizer.learning_rate={rate}"])
    assert fast.metrics["train/loss"] < 0.7 * slow.metrics["train/loss"]


def test_a_run_that_is_looked_at_stays_as_it_is(capsys):
    run, _ = run_of(write_config(), "run")
    before = files()
    assert bp("train", "--resume", run, "--find-lr", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert files() == before
    assert found["losses"][0] < find_lr(Path("flowers.yaml")).to_json()["losses"][0]  # it begins with what was learned


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--find-lr", "--from", "1", "--to", "0.1"],
            "--from 1 --to 0.1: the last rate must be greater than the first\n",
        ),
        (["--find-lr", "--from", "0"], "--from 0 --to 10: a learning rate is a number greater than 0\n"),
        (["--find-lr", "--run-dir", "r"], "--run-dir: --find-lr writes no run; leave it out\n"),
        (["--find-lr", "--dry-run"], "--dry-run: --find-lr writes no run; leave it out\n"),
        (["--find-lr", "--plot", "a.txt"], "--plot a.txt: pictures are written as .png, .svg, .pdf\n"),
        (["--from", "1"], "--from: is for --find-lr; leave it out\n"),
        (["--to", "1"], "--to: is for --find-lr; leave it out\n"),
        (["--plot", "a.png"], "--plot: is for --find-lr; leave it out\n"),
    ],
)
def test_options_that_do_not_go_together(capsys, words, text):
    assert said(capsys, write_config(), *words) == text
    assert not Path("runs").exists()


def test_an_optimizer_that_searches_along_a_line_needs_none(capsys):
    config = write_config(optimizer="lbfgs", training={"batch_size": 60})
    text = "--find-lr: lbfgs searches for the length of every step itself; leave it out\n"
    assert said(capsys, config, "--find-lr") == text
    assert said(capsys, config, "--overfit-batches", "1") == (
        "--overfit-batches 1: lbfgs has no batches; leave it at none\n1 problem; nothing was run.\n"
    )


def test_a_configuration_or_a_run_is_needed(capsys):
    assert said(capsys, "--find-lr") == "train: give either a CONFIG or --resume RUN\n"


def test_without_matplotlib_nothing_is_computed(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = "--plot: Matplotlib is not installed: pip install 'backprop-cli[plot]'\n"
    assert said(capsys, write_config(), "--find-lr", "--plot", "a.png") == text


@with_matplotlib
def test_the_picture(capsys):
    assert bp("train", write_config(), "--find-lr", "--plot", "a.png") == 0
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().err == "plot a.png\n"
